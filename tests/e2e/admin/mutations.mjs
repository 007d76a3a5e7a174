// Mutations as AppSync hands them on: the Lambda queues, the worker does it.

import assert from 'node:assert/strict';

import * as aws from '../aws.mjs';
import { check, until } from '../checks.mjs';
import { assertProfile } from '../profile.mjs';
import { usher } from '../worker.mjs';
import { mailsTo } from './mails.mjs';
import { invoke } from './service.mjs';
import { claims } from './tokens.mjs';

// The identity that AppSync makes of a token. The issuer is not cognito-local's but
// the one of AWS, which the Lambda insists on.
function identity(token, pool, groups) {
  const iss = `https://cognito-idp.us-east-1.amazonaws.com/${pool}`;
  const own = { ...claims(token), iss, ...(groups && { 'cognito:groups': groups }) };
  return {
    claims: own,
    defaultAuthStrategy: 'ALLOW',
    groups: own['cognito:groups'],
    issuer: iss,
    sourceIp: ['192.0.2.1'],
    sub: own.sub,
    username: own.username,
  };
}

// As the resolvers of Amplify Gen 2 send it.
const event = (fieldName, args, identity) => ({
  typeName: fieldName === 'requestStatus' ? 'Query' : 'Mutation',
  fieldName,
  arguments: args,
  identity,
  source: null,
  request: { headers: {} },
  prev: { result: {} },
});

export async function mutations({ pool, olga, uwe, service, queue, deadLetters }) {
  const admin = identity(olga.tokens.access, pool.id);
  const queued = async (...call) => {
    const { status, requestId, ...rest } = await invoke(event(...call, admin));
    assert.deepEqual({ status, ...rest }, { status: 'QUEUED' });
    const ended = () => service.worker.log().split('\n').find((line) => line.includes(requestId));
    await until('the worker has done it', ended);
    assert.match(ended(), /"result":"done"/);
    assert.match(ended(), new RegExp(`"actor":"${olga.sub}"`));
    await becomesDone(requestId);
  };
  // The query and the HTTP API read the same.
  const becomesDone = async (requestId) => {
    const query = event('requestStatus', { requestId }, admin);
    await until('its state is written', async () => (await invoke(query))?.status === 'DONE');
    const found = await service.ask('GET', `/v1/requests/${requestId}`, { token: olga.tokens.access });
    assert.deepEqual(found, { status: 200, body: await invoke(query) });
    const [first, last] = found.body.transitions.map(({ status }) => status);
    assert.equal(last ?? first, 'DONE');
    const { stdout } = await usher('requests', 'show', requestId);
    assert.match(stdout, /^done /m);
    const other = identity(olga.tokens.access, 'us-east-1_abc');
    const { errorType } = await invoke(event('requestStatus', { requestId }, other));
    assert.equal(errorType, 'Unauthorized');
  };

  await check('addUserToGroup and removeUserFromGroup are queued and done', async () => {
    await queued('addUserToGroup', { userId: uwe.sub, groupName: 'STAFF' });
    assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE', 'STAFF']);
    await queued('removeUserFromGroup', { userId: uwe.email, groupName: 'STAFF' });
    assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE']);
  });

  await check('inviteUser is queued and done', async () => {
    const max = { email: 'max@example.com' };
    await queued('inviteUser', {
      email: max.email,
      givenName: 'Max',
      familyName: null,
      groups: ['STAFF'],
      attributes: '{"custom:team": "wire"}', // AWSJSON
    });
    const { sub, given_name, 'custom:team': team } = await pool.attributesOf(max.email);
    max.sub = max.name = sub;
    assert.deepEqual([given_name, team], ['Max', 'wire']);
    assert.equal(await pool.statusOf(sub), 'FORCE_CHANGE_PASSWORD');
    assert.deepEqual(await pool.groupsOf(sub), ['EVERYONE', 'STAFF']);
    assertProfile(max, (await aws.profiles())[sub]);
    const [mail] = mailsTo(max.email);
    assert.equal(mail?.link, `${service.url}/accept#u=${sub}&c=${process.env.CODE}`);
  });

  const give = { userId: uwe.sub, groupName: 'STAFF' };
  await check('a mutation of another caller, or without sense, is refused', async () => {
    const add = (identity, more) => event('addUserToGroup', { ...give, ...more }, identity);
    const { access } = olga.tokens;
    const iam = { accountId: '123456789012', userArn: 'arn:aws:iam::123456789012:user/olga' };
    for (const [what, call, type, words] of [
      ['a member', add(identity(uwe.tokens.access, pool.id)), 'Unauthorized'],
      ['groups only in the claims', add({ ...admin, groups: null }), 'Unauthorized'],
      ['another pool', add(identity(access, 'us-east-1_abc')), 'Unauthorized'],
      ['two issuers', add({ ...admin, issuer: claims(access).iss }), 'Unauthorized'],
      ['IAM', add({ ...admin, ...iam }), 'Unauthorized'],
      ['an API key', add(null), 'Unauthorized'],
      ['a batch', [add(admin)], 'Unauthorized'],
      ['a privileged group', add(admin, { groupName: 'ADMINS' }), 'Unauthorized'],
      ['no user', add(admin, { userId: undefined }), 'BadRequest', /userId/],
      ['no address', event('inviteUser', { email: 'max' }, admin), 'BadRequest', /email/],
      ['another field', event('deleteUser', give, admin), 'BadRequest', /inviteUser/],
    ]) {
      const { errorType, errorMessage } = await invoke(call);
      assert.deepEqual([what, errorType], [what, type]);
      assert.ok(errorMessage.startsWith(`${type}: `), errorMessage);
      assert.match(errorMessage, words ?? /administrators/);
    }
    assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE']);
    assert.equal(await aws.depth(queue), 0);
    assert.equal(await aws.depth(deadLetters), 0);
  });
}
