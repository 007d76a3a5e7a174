// Admin commands sent directly to the queue: the worker rejects what is not allowed.

import assert from 'node:assert/strict';

import * as aws from '../aws.mjs';
import { check, until } from '../checks.mjs';
import { usher } from '../worker.mjs';

export async function commands({ pool, olga, uwe, stranger, queue, deadLetters }) {
  const command = (requestId, more) => ({
    usher: 1,
    command: 'AddUserToGroup',
    requestId,
    requestedBy: { sub: olga.sub },
    userPoolId: pool.id,
    username: uwe.sub,
    groupName: 'STAFF',
    ...more,
  });

  await check('a queued command that is not allowed becomes a dead letter', async () => {
    const forbidden = {
      group_not_grantable: command('power', { groupName: 'ADMINS' }),
      foreign_pool: command('foreign', { userPoolId: stranger.pool.id, username: stranger.name }),
    };
    for (const body of Object.values(forbidden)) await aws.send(queue, JSON.stringify(body));
    await until('both are dead letters', async () => (await aws.depth(deadLetters)) === 2);
    const bodies = (await aws.peek(deadLetters)).map(({ body, attributes }) => [
      attributes['usher.reason'],
      JSON.parse(body),
    ]);
    assert.deepEqual(Object.fromEntries(bodies), forbidden);
    assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE']);
    assert.deepEqual(await stranger.pool.groupsOf(stranger.name), ['EVERYONE']);
    await usher('dead-letters', 'drop', '--all', '--yes');
    assert.equal(await aws.depth(queue), 0);
  });
}
