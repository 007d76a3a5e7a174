// An invitation: from the request to the mail, from its link through the page to
// the first sign-in. cognito-local neither sends a mail again nor looks at the
// temporary password: RESEND for an open invitation and a wrong code are not tried.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import * as aws from '../aws.mjs';
import { check } from '../checks.mjs';
import { assertProfile } from '../profile.mjs';
import { mailsTo } from './mails.mjs';

const CHOSEN = 'Chosen-Passw0rd! "ü"';

// As tests/accept/run does; it ends its browser when it is ended.
function openPage(link, password) {
  const opened = promisify(execFile)(process.execPath, [`${process.env.E2E_ACCEPT}/page.mjs`], {
    env: { ...process.env, ACCEPT_LINK: link, ACCEPT_PASSWORD: password },
    timeout: 60_000,
  });
  process.once('exit', () => opened.child.kill());
  return opened;
}

export async function invitations({ pool, olga, uwe, service }) {
  const { ask } = service;
  const token = olga.tokens.access;
  const ida = { email: 'ida@example.com' };
  const invitation = {
    email: ida.email,
    givenName: 'Ída <b>',
    attributes: { 'custom:team': 'wire & net' },
    groups: ['STAFF'],
  };
  const invite = (more) => ask('POST', '/v1/invitations', { token, body: { ...invitation, ...more } });
  const profile = (user) => ask('GET', '/v1/me/profile', { token: user.tokens.access });

  await check('no user is invited into a privileged or missing group', async () => {
    const before = await pool.users();
    for (const [group, status, code] of [
      ['ADMINS', 403, 'group_not_grantable'],
      ['NOWHERE', 404, 'group_not_found'],
    ]) {
      const answer = await invite({ groups: ['STAFF', group] });
      assert.deepEqual([answer.status, answer.body.code], [status, code]);
    }
    assert.deepEqual(await pool.users(), before);
  });

  const invited = await check('an invited person has attributes, groups and a profile', async () => {
    const { status, body } = await invite();
    assert.equal(status, 200);
    ida.sub = ida.name = body.user?.sub;
    const { requestId, ...rest } = body;
    assert.deepEqual(rest, {
      status: 'DONE',
      user: { username: ida.name, sub: ida.sub, status: 'FORCE_CHANGE_PASSWORD', enabled: true },
      created: true,
      mail: 'sent',
      groups: ['EVERYONE', 'STAFF'],
    });
    assert.equal(await pool.statusOf(ida.email), 'FORCE_CHANGE_PASSWORD');
    assert.deepEqual(await pool.attributesOf(ida.email), {
      sub: ida.sub,
      email: ida.email,
      email_verified: 'true',
      given_name: invitation.givenName,
      'custom:team': invitation.attributes['custom:team'],
    });
    assert.deepEqual(await pool.groupsOf(ida.sub), ['EVERYONE', 'STAFF']);
    assertProfile(ida, (await aws.profiles())[ida.sub]);
  });
  if (!invited) return;

  let link;
  await check('one mail went out, with a link to the page', async () => {
    const { status, body } = await invite();
    assert.deepEqual([status, body.created, body.mail], [200, false, 'not_sent']);
    const mails = mailsTo(ida.email);
    assert.equal(mails.length, 1);
    assert.equal(mails[0].subject, 'You are invited');
    ({ link } = mails[0]);
    assert.equal(link, `${service.url}/accept#u=${ida.name}&c=${process.env.CODE}`);
  });

  await check('the link opens the page, and the person chooses a password there', async () => {
    const { stdout } = await openPage(link, CHOSEN);
    assert.match(stdout, /accepted/);
    assert.equal(await pool.statusOf(ida.sub), 'CONFIRMED');
    ida.tokens = await pool.signIn(ida.email, CHOSEN);
  });

  await check('the link is good for once', async () => {
    const body = { username: ida.name, code: process.env.CODE, password: 'Another-Passw0rd!' };
    const { status } = await ask('POST', '/accept', { body });
    assert.ok(status >= 400 && status < 500, `${status}`);
    await pool.signIn(ida.email, CHOSEN);
  });

  await check('a user who has accepted gets no second invitation', async () => {
    for (const [name, expected, code] of [
      [ida.email, 409, 'already_accepted'],
      [uwe.email, 409, 'already_accepted'],
      ['nobody@example.com', 404, 'user_not_found'],
    ]) {
      const path = `/v1/invitations/${encodeURIComponent(name)}/resend`;
      const { status, body } = await ask('POST', path, { token });
      assert.deepEqual([status, body.code], [expected, code]);
    }
    assert.equal(mailsTo(ida.email).length, 1);
  });

  await check('an administrator sees status, groups and profile of a user', async () => {
    const { status, body } = await ask('GET', `/v1/users/${encodeURIComponent(ida.email)}`, { token });
    assert.equal(status, 200);
    assert.deepEqual(body, {
      username: ida.name,
      sub: ida.sub,
      status: 'CONFIRMED',
      enabled: true,
      groups: ['EVERYONE', 'STAFF'],
      profile: (await profile(ida)).body,
    });
  });

  await check('each reads the record that is theirs, and no other', async () => {
    const records = await aws.profiles();
    for (const user of [ida, uwe, olga]) {
      const { status, body } = await profile(user);
      assert.equal(status, 200);
      const item = Object.fromEntries(Object.entries(body).map(([name, S]) => [name, { S }]));
      assert.deepEqual(item, records[user.sub]);
      assertProfile(user, item);
    }
    // A record under their `sub` that names another user as its owner.
    await aws.putProfile({ ...records[uwe.sub], profileOwner: records[ida.sub].profileOwner });
    const { status, body } = await profile(uwe);
    assert.deepEqual([status, body.code], [404, 'profile_not_found']);
    await aws.putProfile(records[uwe.sub]);
  });
}
