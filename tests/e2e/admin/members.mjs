// Groups given and taken through the HTTP API, and who may not.

import assert from 'node:assert/strict';

import { check } from '../checks.mjs';
import { end } from '../worker.mjs';
import { startService } from './service.mjs';
import { forgeries } from './tokens.mjs';

export async function members({ pool, olga, uwe, stranger, service }) {
  const { ask } = service;
  const give = (token, group = 'STAFF', username = uwe.email) =>
    ask('POST', `/v1/groups/${group}/members`, { token, body: { username } });
  const take = (token, group = 'STAFF', username = uwe.email) =>
    ask('DELETE', `/v1/groups/${group}/members/${encodeURIComponent(username)}`, { token });
  const { access: admin, id } = olga.tokens;
  const plain = uwe.tokens.access;
  const refused = async (answer, status, code) => {
    const { body, ...rest } = await answer;
    assert.deepEqual({ ...rest, code: body.code }, { status, code });
    assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE']);
  };

  await check('an administrator gives a group and takes it again', async () => {
    for (const time of ['first', 'second']) {
      const { status, body } = await give(admin);
      const { requestId, ...given } = body;
      assert.equal(status, 200, time);
      assert.deepEqual(given, {
        status: 'DONE',
        user: { username: uwe.name, sub: uwe.sub, status: 'CONFIRMED', enabled: true },
        group: 'STAFF',
      });
      assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE', 'STAFF']);
      const audit = service.worker.log().split('\n').find((line) => line.includes(requestId));
      assert.match(audit ?? 'no line', new RegExp(`"actor":"${olga.sub}"`));
      assert.match(audit, new RegExp(`"user\\.sub":"${uwe.sub}"`));
    }
    for (const time of ['first', 'second']) {
      assert.equal((await take(admin)).status, 200, time);
      assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE']);
    }
  });

  await check('a privileged group is neither given nor taken', async () => {
    await refused(give(admin, 'ADMINS'), 403, 'group_not_grantable');
    await refused(take(admin, 'ADMINS', olga.email), 403, 'group_not_grantable');
    assert.deepEqual(await pool.groupsOf(olga.sub), ['ADMINS', 'EVERYONE']);
  });

  await check('a missing user or group is refused at once', async () => {
    await refused(give(admin, 'STAFF', 'nobody@example.com'), 404, 'user_not_found');
    await refused(give(admin, 'NOWHERE'), 404, 'group_not_found');
    await refused(take(admin, 'NOWHERE'), 404, 'group_not_found');
  });

  await check('a member who is not an administrator may do nothing', async () => {
    await refused(give(plain), 403, 'not_administrator');
    await refused(take(plain, 'EVERYONE'), 403, 'not_administrator');
    await refused(ask('GET', `/v1/users/${olga.sub}`, { token: plain }), 403, 'not_administrator');
  });

  // cognito-local signs for every pool with one key: only the issuer shows the
  // stranger's pool.
  await check('only a token of the pool and its client is accepted', async () => {
    await refused(give(undefined), 401, 'no_token');
    const another = await pool.createClient('another');
    const tokens = {
      'an id token': id,
      'another client': (await pool.signIn(olga.email, undefined, another)).access,
      'another pool': (await stranger.pool.signIn(stranger.typed)).access,
      ...(await forgeries(admin, plain)),
    };
    for (const [what, token] of Object.entries(tokens)) {
      const { status, body } = await give(token);
      assert.deepEqual([what, status, body.code], [what, 401, 'invalid_token']);
    }
    assert.deepEqual(await pool.groupsOf(uwe.sub), ['EVERYONE']);
  });

  await check('with verified membership, a former administrator is refused', async () => {
    const strict = await startService(pool, '--set', 'admin.verify_membership=true');
    const look = () => strict.ask('GET', `/v1/users/${uwe.sub}`, { token: admin });
    assert.equal((await look()).status, 200);
    await pool.removeFromGroup(olga.sub, 'ADMINS');
    const { status, body } = await look();
    assert.deepEqual([status, body.code], [403, 'not_administrator']);
    await pool.addToGroup(olga.sub, 'ADMINS');
    strict.worker.kill('SIGTERM');
    assert.equal(await end(strict.worker), 0);
  });
}
