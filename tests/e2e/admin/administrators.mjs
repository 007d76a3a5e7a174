// Tests of administrators: makes the pool and the users, and runs all of them.

import assert from 'node:assert/strict';

import * as aws from '../aws.mjs';
import { check, until } from '../checks.mjs';
import { end, usher } from '../worker.mjs';
import { commands } from './commands.mjs';
import { firstToken } from './first-token.mjs';
import { invitations } from './invitations.mjs';
import { members } from './members.mjs';
import { mutations } from './mutations.mjs';
import { startLambda, startService } from './service.mjs';

// `stranger` is a user of another pool.
export async function administrators({ queue, deadLetters, stranger }) {
  const pool = await aws.furnish(process.env.E2E_POOL);
  await pool.createGroup('STAFF');
  await pool.createGroup('ADMINS');
  const service = await startService(pool);
  const lambda = startLambda(pool, `${service.url}/accept`);

  // In this pool people are named by their `sub`.
  const person = async (email) => {
    const sub = await pool.signUp(email);
    assert.equal(await pool.confirm(email), 200);
    return { email, sub, name: sub };
  };
  let fixture;
  await check('an administrator and a member sign up and sign in', async () => {
    const olga = await person('olga@example.com');
    const uwe = await person('uwe@example.com');
    await until('both are in the group and have a profile', async () => {
      const groups = await Promise.all([olga, uwe].map(({ sub }) => pool.groupsOf(sub)));
      const profiles = await aws.profiles();
      return groups.flat().length === 2 && olga.sub in profiles && uwe.sub in profiles;
    });
    await pool.addToGroup(olga.sub, 'ADMINS');
    for (const user of [olga, uwe]) user.tokens = await pool.signIn(user.email);
    fixture = { pool, olga, uwe, stranger, service, queue, deadLetters };
  });
  if (!fixture) return;

  await members(fixture);
  await invitations(fixture);
  await mutations(fixture);
  await commands(fixture);
  await firstToken(fixture);

  await check('no invited user lacks anything, and no log names a user', async () => {
    const { stdout } = await usher('reconcile', '--output', 'json', '--pool', pool.id);
    const { users, queued } = JSON.parse(stdout);
    // The one who has not accepted yet is not counted.
    assert.deepEqual({ users, queued }, { users: 3, queued: 0 });
    const secret = new RegExp(`@example\\.com|Ída|Passw0rd|eyJ|\\b${process.env.CODE}\\b`);
    for (const log of [service.worker.log(), lambda.log()]) assert.doesNotMatch(log, secret);
  });

  service.worker.kill('SIGTERM');
  lambda.kill('SIGTERM');
  assert.equal(await end(service.worker), 0);
}
