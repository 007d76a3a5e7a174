// The client of deploy/amplify against an endpoint on loopback that responds as AppSync
// does. The default mode is one without groups, as in backends that have an API key.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Amplify } from 'aws-amplify';

import { check } from './checks.mjs';
import {
  Refused,
  addUserToGroup,
  inviteUser,
  removeUserFromGroup,
  requestStatus,
} from './src/admin.ts';
import { hasGroup, profile } from './src/me.ts';

interface Request {
  headers: Record<string, unknown>;
  query: string;
  variables: Record<string, unknown>;
}

export async function checkClient(modelIntrospection: object) {
  const asked: Request[] = [];
  let answer: object = {};
  let status = 200;
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    asked.push({ headers: request.headers, ...JSON.parse(body) });
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;

  let refreshed = 0;
  const token = (groups: string[]) => ({
    payload: { sub: 'sub-1', 'cognito:groups': groups },
    toString: () => 'the-access-token',
  });
  Amplify.configure(
    {
      Auth: { Cognito: { userPoolId: 'eu-west-1_AbCdEf123', userPoolClientId: 'client' } },
      API: {
        GraphQL: {
          endpoint: `http://127.0.0.1:${port}/graphql`,
          region: 'eu-west-1',
          defaultAuthMode: 'apiKey',
          apiKey: 'the-key',
          modelIntrospection: modelIntrospection as never,
        },
      },
    },
    {
      Auth: {
        tokenProvider: {
          // The group is in the second new token.
          async getTokens({ forceRefresh } = {}) {
            refreshed += forceRefresh ? 1 : 0;
            return { accessToken: token(refreshed > 1 ? ['STAFF'] : []) };
          },
        },
      },
    },
  );
  const last = () => asked.at(-1)!;
  const queued = { status: 'QUEUED', requestId: 'r-1' };
  const takes = (field: string) => {
    status = 200;
    answer = { data: { [field]: JSON.stringify(queued) } };
  };
  const refuses = (errorType: string, message: string, code = 200) => {
    status = code;
    answer = { data: { addUserToGroup: null }, errors: [{ errorType, message }] };
  };
  const refusal = async () => {
    const error = await addUserToGroup('ada', 'STAFF').catch((error: unknown) => error);
    assert.ok(error instanceof Refused, String(error));
    return error;
  };

  await check('the client sends the token of the user, whatever the default mode', async () => {
    takes('addUserToGroup');
    assert.deepEqual(await addUserToGroup('ada', 'STAFF'), queued);
    assert.equal(last().headers.authorization, 'the-access-token');
    assert.equal(last().headers['x-api-key'], undefined);
    assert.match(last().query, /mutation.*\{\s*addUserToGroup/);
    assert.deepEqual(last().variables, { userId: 'ada', groupName: 'STAFF' });
    takes('removeUserFromGroup');
    assert.deepEqual(await removeUserFromGroup('ada', 'STAFF'), queued);
    assert.match(last().query, /removeUserFromGroup/);
  });

  await check('the attributes of an invitation are sent as AWSJSON', async () => {
    takes('inviteUser');
    const attributes = { 'custom:plan': 'pro' };
    const invitation = { email: 'ada@example.com', groups: ['STAFF'], attributes };
    assert.deepEqual(await inviteUser(invitation), queued);
    assert.deepEqual(last().variables, { ...invitation, attributes: JSON.stringify(attributes) });
    await inviteUser({ email: 'ada@example.com' });
    assert.deepEqual(last().variables, { email: 'ada@example.com' });
  });

  await check('the state of a request is read, and null without one', async () => {
    const done = { status: 'DONE', at: '2026-08-07T12:00:00.000Z' };
    const request = { ...queued, status: 'DONE', transitions: [done] };
    status = 200;
    answer = { data: { requestStatus: JSON.stringify(request) } };
    assert.deepEqual(await requestStatus('r-1'), request);
    assert.match(last().query, /query.*\{\s*requestStatus/);
    assert.deepEqual(last().variables, { requestId: 'r-1' });
    answer = { data: { requestStatus: null } };
    assert.equal(await requestStatus('r-2'), null);
  });

  await check('the client reads the type of an error, wherever it is', async () => {
    refuses('BadRequest', 'groupName: no such thing');
    let error = await refusal();
    assert.equal(error.type, 'BadRequest');
    assert.ok(!error.retry);
    assert.match(error.message, /groupName/);

    refuses('Lambda:Unhandled', 'Unavailable: the queue is out of reach');
    error = await refusal();
    assert.equal(error.type, 'Unavailable');
    assert.ok(error.retry);

    refuses('Lambda:Unhandled', 'Execution timed out.');
    assert.equal((await refusal()).type, 'Lambda:Unhandled');
    refuses('Unauthorized', 'Not Authorized to access addUserToGroup on type Mutation');
    assert.equal((await refusal()).type, 'Unauthorized');
    refuses('UnauthorizedException', 'Token has expired.', 401);
    // The client drops the body of an HTTP error.
    assert.equal((await refusal()).type, 'Unknown');
  });

  await check('the own profile is read by its id', async () => {
    const record = { id: 'sub-1', email: 'ada@example.com', profileOwner: 'ada' };
    status = 200;
    answer = { data: { getUserProfile: record } };
    assert.equal((await profile())?.email, 'ada@example.com');
    assert.equal(last().headers.authorization, 'the-access-token');
    assert.deepEqual(last().variables, { id: 'sub-1' });
    answer = { data: { getUserProfile: null } };
    assert.equal(await profile(), null);
  });

  await check('a new group is seen in a new token', async () => {
    assert.equal(refreshed, 0);
    assert.ok(await hasGroup('STAFF'));
    assert.equal(refreshed, 2);
    assert.ok(!(await hasGroup('ADMINS', 1)));
  });

  await check('a missing server and a refusal are different errors', async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    assert.equal((await refusal()).type, 'Unknown');
  });
}
