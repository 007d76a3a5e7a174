// The path of a sign-up, from SignUp to the group and the profile.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { administrators } from './admin/administrators.mjs';
import * as aws from './aws.mjs';
import { check, until } from './checks.mjs';
import { assertProfile } from './profile.mjs';
import { recordsOfAmplify } from './records.mjs';
import { end, startWorker, usher } from './worker.mjs';

const QUEUE = process.env.USHER_QUEUE__URL;
const TRIGGER = `${process.env.LAMBDA_URL}/2015-03-31/functions/usher-trigger/invocations`;

const deadLetters = await aws.createQueue('sign-ups-dead');
assert.equal(await aws.createQueue('sign-ups', deadLetters), QUEUE);
await aws.createTable();
await aws.createTable(process.env.USHER_ADMIN__REQUESTS_TABLE);
const byName = await aws.createPool('by name', []);
const byMail = await aws.createPool('by e-mail', ['email']);

// `name` is what Cognito calls the user: not what was typed, where that is an
// e-mail address.
const user = (pool, typed, email) => ({ pool, typed, email, name: typed });
const ada = user(byName, 'ada');
const others = [
  user(byName, 'grace+e2e@example.com', 'grace@example.com'),
  user(byName, '名前', 'zoë@bücher.example'),
  user(byName, 'o\'neil "x" \\ <b>', 'quote@example.com'),
  user(byMail, 'linus@example.com', 'linus@example.com'),
];
const known = user(byName, 'katherine', 'katherine@example.com');
const all = [ada, ...others, known];

async function signUp(user) {
  user.sub = await user.pool.signUp(user.typed, user.email);
  if (user.pool === byMail) user.name = user.sub;
}

async function confirm(user) {
  assert.equal(await user.pool.confirm(user.typed), 200);
  assert.equal(await user.pool.statusOf(user.name), 'CONFIRMED');
}

async function workUntilEmpty(...options) {
  assert.equal(await end(startWorker('--until-empty', ...options)), 0);
  assert.equal(await aws.depth(QUEUE), 0);
}

const answers = await check('an event comes back from the trigger byte for byte', async () => {
  const event = '{ "triggerSource":"PostAuthentication_Authentication", "n": 1.0, "é":"\\u00e9" }';
  const answer = await fetch(TRIGGER, {
    method: 'POST',
    body: event,
    signal: AbortSignal.timeout(30_000),
  });
  assert.equal(await answer.text(), event);
  assert.equal(answer.status, 200);
  assert.equal(await aws.depth(QUEUE), 0);
});
if (!answers) process.exit(1); // each ConfirmSignUp would wait for the trigger

let message;
await check('ConfirmSignUp succeeds and its event is on the queue', async () => {
  await signUp(ada);
  assert.equal(await aws.depth(QUEUE), 0);
  await confirm(ada);
  const messages = await aws.peek(QUEUE);
  assert.equal(messages.length, 1);
  [message] = messages;
  assert.equal(message.attributes['usher.kind'], 'PostConfirmation');
  const event = JSON.parse(message.body);
  assert.equal(event.triggerSource, 'PostConfirmation_ConfirmSignUp');
  assert.equal(event.userPoolId, byName.id);
  assert.equal(event.userName, 'ada');
  assert.equal(event.callerContext.clientId, byName.clientId);
  assert.equal(event.request.userAttributes.sub, ada.sub);
});

await check('the first sign-up creates the group, and the worker ends at an empty queue', async () => {
  assert.deepEqual(await byName.groups(), ['OTHER']);
  await workUntilEmpty();
  assert.deepEqual(await byName.groups(), ['EVERYONE', 'OTHER']);
  assert.deepEqual(await byName.groupsOf('ada'), ['EVERYONE']);
  const profiles = await aws.profiles();
  assert.deepEqual(Object.keys(profiles), [ada.sub]);
  assertProfile(ada, profiles[ada.sub]);
});

const older = { __typename: { S: 'UserProfile' }, note: { S: 'was here before' } };
await check('a running worker serves sign-ups as they come and ends at SIGTERM', async () => {
  const worker = startWorker();
  await Promise.all([...others, known].map(signUp));
  older.id = { S: known.sub };
  await aws.putProfile(older);
  await Promise.all([...others, known].map(confirm));
  await until('all are in the group and the queue is empty', async () => {
    const groups = await Promise.all(all.map((user) => user.pool.groupsOf(user.name)));
    return groups.flat().length === all.length && (await aws.depth(QUEUE)) === 0;
  });
  assert.equal(worker.exitCode, null);
  worker.kill('SIGTERM');
  assert.equal(await end(worker), 0);
});

for (const user of all) {
  await check(`${user.typed} is in the group and has the right profile`, async () => {
    assert.deepEqual(await user.pool.groupsOf(user.name), ['EVERYONE']);
    const item = (await aws.profiles())[user.sub];
    if (user === known) assert.deepEqual(item, older);
    else assertProfile(user, item);
  });
}

await check('there is one profile for each user, and no dead letter', async () => {
  const subs = all.map((user) => user.sub);
  assert.deepEqual(Object.keys(await aws.profiles()).sort(), subs.sort());
  assert.equal(await aws.depth(deadLetters), 0);
});

// The group shows that the event was processed. A new process does it: one that
// remembers the user would not write at all.
await check('the same event once more restores the group and leaves the profile', async () => {
  const before = JSON.stringify(await aws.profiles());
  await byName.removeFromGroup('ada', 'EVERYONE');
  assert.deepEqual(await byName.groupsOf('ada'), []);
  await aws.send(QUEUE, message.body);
  await workUntilEmpty();
  assert.equal(JSON.stringify(await aws.profiles()), before);
  assert.deepEqual(await byName.groupsOf('ada'), ['EVERYONE']);
  assert.equal(await aws.depth(deadLetters), 0);
});

await check('a message that is not JSON becomes a dead letter with its reason', async () => {
  const body = '{"triggerSource": "PostConf — cut off';
  await aws.send(QUEUE, body);
  await workUntilEmpty();
  const messages = await aws.peek(deadLetters);
  assert.equal(messages.length, 1);
  assert.equal(messages[0].body, body);
  assert.equal(messages[0].attributes['usher.reason'], 'not_json');
});

await check('reconcile queues users who lack something, and none the second time', async () => {
  await byName.removeFromGroup('ada', 'EVERYONE');
  await aws.deleteProfile(others[0].sub);
  const reconcile = async () => {
    const { stdout } = await usher('reconcile', '--groups', '--output', 'json', '--pool', byName.id);
    const { users, queued, missing_profile, missing_group } = JSON.parse(stdout);
    return { users, queued, missing_profile, missing_group };
  };
  assert.deepEqual(await reconcile(), { users: 5, queued: 2, missing_profile: 1, missing_group: 1 });
  await workUntilEmpty();
  assert.deepEqual(await byName.groupsOf('ada'), ['EVERYONE']);
  assertProfile(others[0], (await aws.profiles())[others[0].sub]);
  assert.deepEqual(await reconcile(), { users: 5, queued: 0, missing_profile: 0, missing_group: 0 });
});

await check('the Reconcile command on the queue does the same', async () => {
  await byName.removeFromGroup('ada', 'EVERYONE');
  const command = { usher: 1, command: 'Reconcile', userPoolId: byName.id };
  await aws.send(QUEUE, JSON.stringify(command));
  await workUntilEmpty();
  assert.deepEqual(await byName.groupsOf('ada'), [], 'taken out, and with a profile: unchanged');
  await aws.send(QUEUE, JSON.stringify({ ...command, groups: true }));
  await workUntilEmpty();
  assert.deepEqual(await byName.groupsOf('ada'), ['EVERYONE']);
});

const listDeadLetters = async () => {
  const { stdout } = await usher('dead-letters', 'list', '--output', 'json');
  return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
};

// moto has no move tasks: `--native` is not tried here.
for (const [way, ...options] of [['through the queue'], ['directly', '--direct']]) {
  await check(`a dead letter that is replayed ${way} returns with its replays counted`, async () => {
    const [before] = await listDeadLetters();
    assert.equal(before.reason, 'not_json');
    const { stderr } = await usher('dead-letters', 'replay', '--all', '--yes', ...options).catch((error) => {
      if (way !== 'directly') throw error; // it failed again, and says so
      return error;
    });
    assert.match(stderr, /"actor":"arn:aws:/);
    await workUntilEmpty();
    const all = await listDeadLetters();
    assert.equal(all.length, 1);
    assert.equal(all[0].replays, before.replays + 1);
    assert.equal(all[0].first_received_at, before.first_received_at);
  });
}

await check('a dropped dead letter is deleted', async () => {
  await usher('dead-letters', 'drop', '--all', '--yes');
  assert.equal(await aws.depth(deadLetters), 0);
});

// cognito-local has no identity providers, so the test sends what Cognito sends.
await check('a sign-in through a provider provisions once, and a removal lasts', async () => {
  const google = user(byName, 'Google_1', 'google@example.com');
  await signUp(google); // without a confirmation, so that nothing else provisions it
  const event = {
    version: '1',
    triggerSource: 'TokenGeneration_HostedAuth',
    userPoolId: byName.id,
    userName: google.name,
    request: {
      userAttributes: {
        sub: google.sub,
        email: google.email,
        'cognito:user_status': 'EXTERNAL_PROVIDER',
      },
      groupConfiguration: { groupsToOverride: [] },
    },
    response: {},
  };
  const body = JSON.stringify(event);
  const answer = await fetch(TRIGGER, { method: 'POST', body, signal: AbortSignal.timeout(30_000) });
  const { response } = await answer.json();
  const { groupsToOverride } = response.claimsOverrideDetails.groupOverrideDetails;
  assert.deepEqual(groupsToOverride, ['EVERYONE']);
  assert.equal(await aws.depth(QUEUE), 1);
  await workUntilEmpty();
  assert.deepEqual(await byName.groupsOf(google.name), ['EVERYONE']);
  assertProfile(google, (await aws.profiles())[google.sub]);

  await byName.removeFromGroup(google.name, 'EVERYONE');
  await aws.send(QUEUE, body);
  await workUntilEmpty();
  assert.deepEqual(await byName.groupsOf(google.name), []);
  await aws.deleteProfile(google.sub);
});

// Users of the second pool are named by the pool itself.
for (const [pool, names] of [[byName, 'plain names'], [byMail, 'e-mail addresses']]) {
  await check(`a load test in a pool of ${names} verifies clean and leaves nothing`, async () => {
    const [before, users] = [JSON.stringify(await aws.profiles()), await pool.users()];
    const worker = startWorker();
    const { stdout } = await usher(
      ...['load', 'run', '--output', 'json', '--set', `load.allowed_pools=${pool.id}`],
      ...['--set', 'quota.user_creation=100', '--set', 'quota.user_resource_read=100'],
      ...['--count', '30', '--rate', '30', '--quiet-period', '3s', '--duplicates', '10%'],
      ...['--poison', '10%', '--attribute', 'given_name=<Wire>'],
    ).catch((error) => {
      throw new Error(`${error.stderr}${error.stdout}`);
    });
    worker.kill('SIGTERM');
    assert.equal(await end(worker), 0);
    const report = JSON.parse(stdout);
    assert.deepEqual(report.differences, []);
    assert.equal(report.verified, true);
    assert.equal(report.latency_ms.count, 30);
    assert.deepEqual(report.cleaned, {
      messages: 0,
      dead_letters: 3,
      profiles: 30,
      users: 31,
      complete: true,
    });
    assert.equal(JSON.stringify(await aws.profiles()), before);
    assert.deepEqual(await pool.users(), users);
    assert.equal(await aws.depth(QUEUE), 0);
    assert.equal(await aws.depth(deadLetters), 0);
  });
}

await recordsOfAmplify({ queue: QUEUE, workUntilEmpty });

await administrators({ queue: QUEUE, deadLetters, stranger: ada });

await check('a user who is forgotten is in no pool, table or queue', async () => {
  const gone = user(byName, 'gone', 'gone@example.com');
  const [profiles, users, letters] = [
    JSON.stringify(await aws.profiles()),
    await byName.users(),
    await aws.depth(deadLetters),
  ];
  await signUp(gone);
  await confirm(gone);
  await workUntilEmpty();
  const event = {
    triggerSource: 'PostConfirmation_ConfirmSignUp',
    userPoolId: byName.id,
    userName: gone.name,
    request: { userAttributes: { sub: gone.sub, email: gone.email } },
  };
  await aws.send(deadLetters, JSON.stringify(event));
  const options = ['--pool', byName.id, '--yes', '--output', 'json'];
  const { stdout } = await usher('users', 'forget', gone.sub, ...options).catch((error) => {
    throw new Error(`${error.stderr}${error.stdout}`);
  });
  const report = JSON.parse(stdout);
  assert.equal(report.status, 'forgotten');
  assert.deepEqual(report.deleted, { user: true, profiles: 1, dead_letters: 1 });
  assert.equal(JSON.stringify(await aws.profiles()), profiles);
  assert.deepEqual(await byName.users(), users);
  assert.equal(await aws.depth(deadLetters), letters);
});

// cognito-local confirms the user even when the trigger failed, and logs it.
await check('the user pool accepted every response of the trigger', async () => {
  const log = readFileSync(`${process.env.E2E_WORK}/log/cognito-local.log`, 'utf8');
  assert.doesNotMatch(log, /Lambda\w*Exception|ERROR/);
});
