// Records under other ids than the user's sub, as Amplify's Data client writes them: counted
// by reconcile, left as they are, and the user's own once they are moved. tests/runbook moves
// them with the commands of docs/guide/amplify-migration.md.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import * as aws from './aws.mjs';
import { check } from './checks.mjs';
import { assertProfile } from './profile.mjs';
import { usher } from './worker.mjs';

const COUNT = 50;
const INDEX = 'userProfilesByProfileOwner';

// `workUntilEmpty` runs a worker.
export async function recordsOfAmplify({ queue, workUntilEmpty }) {
  const pool = await aws.createPool('of a sample', ['email']);
  const others = await aws.profiles();
  const people = [];
  for (let n = 0; n < COUNT; n += 1) {
    const email = `sample-${n}@example.com`;
    const sub = await pool.signUp(email, email);
    assert.equal(await pool.confirm(email), 200);
    const now = new Date().toISOString();
    const record = {
      id: { S: randomUUID() },
      __typename: { S: 'UserProfile' },
      email: { S: email },
      profileOwner: { S: `${sub}::${sub}` },
      createdAt: { S: now },
      updatedAt: { S: now },
    };
    await aws.putProfile(record);
    people.push({ email, sub, name: sub, record });
  }
  // What their trigger has sent is another matter: they signed up before.
  await aws.purge(queue);
  const before = JSON.stringify(await aws.profiles());

  // Its standard output, and its status: leaving users out is one of its own.
  const reconcile = async (...options) => {
    const all = ['reconcile', '--output', 'json', '--pool', pool.id, ...options];
    const ended = await usher(...all).catch((error) => error);
    const lines = ended.stdout.split('\n').filter(Boolean);
    return { status: ended.code ?? 0, lines: lines.map((line) => JSON.parse(line)) };
  };
  const counted = ({ users, queued, missing_profile, under_another_id }) =>
    ({ users, queued, missing_profile, under_another_id });
  const LEFT_OUT = { users: COUNT, queued: 0, missing_profile: 0, under_another_id: COUNT };

  await check('reconcile counts users with a record under another id', async () => {
    const { status, lines } = await reconcile('--dry-run');
    assert.equal(status, 0);
    assert.equal(lines.filter((line) => line.kind === 'user' && line.under_another_id).length, COUNT);
  });

  await check('it writes no second record, nor does the command on the queue', async () => {
    const { status, lines } = await reconcile();
    assert.equal(status, 1);
    assert.deepEqual(lines.map(counted), [LEFT_OUT]);
    const command = { usher: 1, command: 'Reconcile', userPoolId: pool.id };
    await aws.send(queue, JSON.stringify(command));
    await workUntilEmpty();
    assert.equal(JSON.stringify(await aws.profiles()), before);
  });

  await check('an index by the owner shows the same', async () => {
    await aws.createIndex(INDEX, 'profileOwner');
    const { status, lines } = await reconcile('--owner-index', INDEX);
    assert.equal(status, 1);
    assert.deepEqual(lines.map(counted), [LEFT_OUT]);
  });

  await check('a new password of someone with such a record writes none beside it', async () => {
    await pool.choosePassword(people[0].email);
    assert.equal(await aws.depth(queue), 1);
    await workUntilEmpty(`--set=profiles.owner_index=${INDEX}`);
    assert.equal(JSON.stringify(await aws.profiles()), before);
  });

  await check('records that were moved are the users\' own', async () => {
    for (const { sub, record } of people.slice(1)) {
      await aws.putProfile({ ...record, id: { S: sub } });
      await aws.deleteProfile(record.id.S);
    }
    await aws.deleteProfile(people[0].record.id.S);
    const { status, lines } = await reconcile('--dry-run');
    assert.equal(status, 0);
    const summary = lines.pop();
    assert.deepEqual([summary.missing_profile, summary.queued], [1, 0]);
    assert.deepEqual(lines.map((line) => line.sub), [people[0].sub]);
  });

  await check('a new password of someone without a record is a sign-up', async () => {
    await pool.choosePassword(people[0].email);
    await workUntilEmpty();
    assertProfile(people[0], (await aws.profiles())[people[0].sub]);
    assert.deepEqual(await pool.groupsOf(people[0].name), ['EVERYONE']);
  });

  for (const { sub } of people) await aws.deleteProfile(sub);
  assert.deepEqual(await aws.profiles(), others);
}
