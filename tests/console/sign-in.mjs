// The console that a worker serves, as an administrator uses it.

import assert from 'node:assert/strict';

import { button, heading, link, picture, pressOn, stageAt } from './stage.mjs';

const { API, AWS_ENDPOINT_URL, POOL } = process.env;
const START = `${API}/console`;
const PASSWORD = 'A-passw0rd-for-this-machine';
const CODE = '424242';

/** A call of Cognito, which the endpoint of `usher dev` takes without a signature. */
async function cognito(operation, input) {
  const answer = await fetch(AWS_ENDPOINT_URL, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `AWSCognitoIdentityProviderService.${operation}`,
    },
    body: JSON.stringify({ UserPoolId: POOL, ...input }),
  });
  assert.equal(answer.status, 200, `${operation}: ${await answer.text()}`);
}

async function signIn(tab, name, password = PASSWORD) {
  await tab.getByLabel('User name').fill(name);
  await tab.getByLabel('Password').fill(password);
  await button(tab, 'Sign in').click();
}

const alert = (tab) => tab.getByRole('alert').filter({ visible: true }).innerText();

export const signInChecks = {
  async 'an administrator signs in, sees Now, and signs out'() {
    await stageAt(`${START}?a=1`, {}, async (tab, context) => {
      assert.equal(await heading(tab), 'Sign in');
      await picture(tab, 'sign-in');
      await signIn(tab, 'admin', 'Wr0ng-password');
      assert.match(await alert(tab), /do not match/);
      await picture(tab, 'sign-in-refused');
      await signIn(tab, 'admin');
      await tab.waitForURL(`${START}?a=1`);
      await tab.getByRole('heading', { name: 'Findings' }).waitFor();
      await picture(tab, 'now-of-administrator');
      const names = tab.locator('dt, nav a, tbody th');
      assert.equal(await names.filter({ hasText: /dead letters/i }).count(), 0);
      const cookies = await context.cookies(START);
      assert.deepEqual(
        cookies.map(({ name, httpOnly, secure, sameSite }) => [name, httpOnly, secure, sameSite]),
        ['__Host-usher_console', '__Host-usher_console_refresh'].map((name) => [name, true, true, 'Strict']),
      );
      await button(tab, 'Sign out').click();
      await tab.getByText('You are signed out').waitFor();
      await picture(tab, 'signed-out');
      assert.deepEqual(await context.cookies(START), []);
      await tab.goto(START);
      assert.equal(await heading(tab), 'Sign in');
    });
  },

  async 'an administrator looks a user up and changes a group'() {
    await stageAt(START, {}, async (tab) => {
      await signIn(tab, 'admin');
      await link(tab, 'People').click();
      await picture(tab, 'people-of-administrator');
      await tab.getByLabel('E-mail address, user name or sub').fill('user');
      await button(tab, 'Look up').click();
      await tab.getByRole('heading', { name: /^User [0-9a-f]{8}$/ }).waitFor();
      await picture(tab, 'person-of-administrator');
      const group = tab.getByLabel('Group', { exact: true });
      for (const [name, title, result] of [
        ['ADMINS', 'Nothing was done', /administrators may not give or take this group/],
        ['STAFF', 'Add to group: STAFF', /The user becomes a member of STAFF/],
      ]) {
        const page = tab.url();
        await group.fill(name);
        await button(tab, 'Add to group …').click();
        await tab.getByText(result).waitFor();
        assert.equal(await heading(tab), title);
        if (name === 'ADMINS') await tab.goto(page);
      }
      await button(tab, 'Add to group').click();
      assert.match(await tab.locator('.note[role=status]').innerText(), /the user is a member of STAFF/);
      await button(tab, /^Remove from STAFF/).click();
      await button(tab, 'Remove from group').click();
      assert.match(await tab.locator('.note[role=status]').innerText(), /no longer a member of STAFF/);
    });
  },

  async 'an ordinary user gets no session'() {
    await stageAt(START, {}, async (tab, context) => {
      await signIn(tab, 'user');
      assert.equal(await heading(tab), 'This console is for administrators');
      await picture(tab, 'not-an-administrator');
      assert.deepEqual(await context.cookies(START), []);
    });
  },

  async 'a code is asked for, without script and by keyboard'() {
    await cognito('AdminSetUserMFAPreference', {
      Username: 'admin',
      SoftwareTokenMfaSettings: { Enabled: true },
    });
    try {
      for (const javaScriptEnabled of [true, false]) {
        await stageAt(START, { javaScriptEnabled }, async (tab) => {
          await signIn(tab, 'admin');
          assert.equal(await heading(tab), 'Enter the code');
          if (javaScriptEnabled) await picture(tab, 'code');
          await tab.getByLabel('Code').fill('000000');
          await button(tab, 'Continue').click();
          assert.match(await alert(tab), /This code is wrong/);
          if (javaScriptEnabled) await picture(tab, 'code-wrong');
          await tab.getByLabel('Code').fill(CODE);
          if (javaScriptEnabled) await pressOn(tab, /^Continue$/);
          else await button(tab, 'Continue').click();
          await button(tab, 'Sign out').waitFor();
        });
      }
    } finally {
      await cognito('AdminSetUserMFAPreference', { Username: 'admin' });
    }
  },

  async 'a temporary password is replaced'() {
    const name = `temporary-${Date.now()}`;
    await cognito('AdminCreateUser', {
      Username: name,
      MessageAction: 'SUPPRESS',
      TemporaryPassword: 'Temporary-1',
    });
    await cognito('AdminAddUserToGroup', { Username: name, GroupName: 'ADMINS' });
    await stageAt(START, {}, async (tab) => {
      await signIn(tab, name, 'Temporary-1');
      assert.equal(await heading(tab), 'Choose a new password');
      await tab.getByLabel('New password', { exact: true }).fill(PASSWORD);
      await tab.getByLabel('New password again').fill('another');
      await button(tab, 'Continue').click();
      assert.match(await alert(tab), /differ/);
      await picture(tab, 'new-password');
      await tab.getByLabel('New password', { exact: true }).fill(PASSWORD);
      await tab.getByLabel('New password again').fill(PASSWORD);
      await button(tab, 'Continue').click();
      await button(tab, 'Sign out').waitFor();
    });
  },
};
