// Orders that somebody put on the queue past all doors: what may not be done is not
// done by the worker either.

import assert from 'node:assert/strict';

import * as aws from '../aws.mjs';
import { check, until } from '../checks.mjs';
import { usher } from '../worker.mjs';

export async function orders({ pool, olga, uwe, stranger, queue, deadLetters }) {
  const order = (requestId, more) => ({
    usher: 1,
    command: 'AddUserToGroup',
    requestId,
    requestedBy: { sub: olga.sub },
    userPoolId: pool.id,
    username: uwe.sub,
    groupName: 'STAFF',
    ...more,
  });

  await check('an order on the queue that may not be done ends as a dead letter', async () => {
    const wrong = {
      group_not_grantable: order('power', { groupName: 'ADMINS' }),
      foreign_pool: order('foreign', { userPoolId: stranger.pool.id, username: stranger.name }),
    };
    for (const body of Object.values(wrong)) await aws.send(queue, JSON.stringify(body));
    await until('both are dead letters', async () => (await aws.depth(deadLetters)) === 2);
    const letters = (await aws.peek(deadLetters)).map(({ body, attributes }) => [
      attributes['usher.reason'],
      JSON.parse(body),
    ]);
    assert.deepEqual(Object.fromEntries(letters), wrong);
    assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE']);
    assert.deepEqual(await stranger.pool.groupsOf(stranger.name), ['EVERYONE']);
    await usher('dead-letters', 'drop', '--all', '--yes');
    assert.equal(await aws.depth(queue), 0);
  });
}
