// The worker with its HTTP API and /accept, and the Lambda that writes the mails
// and answers AppSync, both for one pool.

import assert from 'node:assert/strict';

import { until } from '../checks.mjs';
import { start, startWorker } from '../worker.mjs';

const LAMBDA = 'usher-admin';
const { LAMBDA_URL } = process.env;

export async function startService(pool, ...options) {
  const settings = {
    'http.listen': '127.0.0.1:0',
    'http.public_listen': '127.0.0.1:0',
    'pools.allowed': pool.id,
    'admin.client_ids': pool.clientId,
    'admin.issuer': `${process.env.AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER}/{pool}`,
    'invitations.client_id': pool.clientId,
  };
  const worker = startWorker(
    ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    ...options,
  );
  const logged = (name) => {
    assert.equal(worker.exitCode, null, 'the worker ended by itself');
    return worker.log().match(new RegExp(`"http\\.${name}":"([^"]+)"`))?.[1];
  };
  await until('the API is served', () => logged('public_address'));
  const url = `http://${logged('public_address')}`;
  const readiness = `http://${logged('address')}/readyz`;
  await until('the worker is ready', async () => (await fetch(readiness)).ok);
  return { worker, url, ask: (...request) => ask(url, ...request) };
}

// Status and JSON body of an answer.
async function ask(url, method, path, { token, body } = {}) {
  const answer = await fetch(url + path, {
    method,
    headers: {
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(body && { 'Content-Type': 'application/json' }),
    },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: answer.status, body: await answer.json() };
}

export const startLambda = (pool, acceptUrl) =>
  start(LAMBDA, process.env.E2E_TRIGGER, [], {
    AWS_LAMBDA_RUNTIME_API: `${LAMBDA_URL}/.rt/${LAMBDA}`,
    AWS_LAMBDA_FUNCTION_NAME: LAMBDA,
    AWS_LAMBDA_FUNCTION_VERSION: '1',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
    USHER_POOLS__ALLOWED: pool.id,
    USHER_ADMIN__CLIENT_IDS: pool.clientId,
    USHER_INVITATIONS__ACCEPT_URL: acceptUrl,
  });

// What the Lambda answers; an error is `{errorType, errorMessage}`.
export async function invoke(event) {
  const answer = await fetch(`${LAMBDA_URL}/2015-03-31/functions/${LAMBDA}/invocations`, {
    method: 'POST',
    body: JSON.stringify(event),
    signal: AbortSignal.timeout(30_000),
  });
  return answer.json();
}
