// The view People: finds users, shows one, and acts on them.

import assert from 'node:assert/strict';

import { BASE, button, heading, link, picture, pressOn, stage } from './stage.mjs';

const START = `${BASE}/console/people`;
const note = (tab) => tab.locator('.note[role=status]').innerText();
const row = (tab, group) => tab.getByRole('row', { name: new RegExp(`^${group} `) });

/** Looks a user up; their page is shown. */
async function lookUp(tab, user) {
  await tab.goto(START);
  await tab.getByLabel('E-mail address, user name or sub').fill(user);
  await button(tab, 'Look up').click();
  await tab.getByRole('heading', { name: /^User [0-9a-f]{8}$/ }).waitFor();
  assert.match(tab.url(), /\/console\/people\/[\w-]+\/[0-9a-f-]{36}$/);
}

/** Confirms what the page says; returns the result. */
async function confirm(tab, action) {
  await button(tab, action).click();
  await tab.locator('.note[role=status]').waitFor();
  return note(tab);
}

async function addTo(tab, group) {
  await tab.getByLabel('Group', { exact: true }).fill(group);
  await button(tab, 'Add to group …').click();
}

/** Shows the page again until it has the text. */
async function until(tab, text) {
  for (let tries = 0; tries < 100; tries += 1) {
    await tab.goto(tab.url());
    if (await tab.getByText(text).count()) return;
    await tab.waitForTimeout(100);
  }
  assert.fail(`${text} never came`);
}

/** Presses Tab until the element with this id has the focus. */
async function focusOn(tab, id) {
  for (let presses = 0; presses < 50; presses += 1) {
    await tab.keyboard.press('Tab');
    if (await tab.evaluate((id) => document.activeElement.id === id, id)) return;
  }
  assert.fail(`Tab does not lead to ${id}`);
}

export const people = {
  async 'people: a missing group is found and mended'() {
    await stage({}, async (tab) => {
      await link(tab, 'People').click();
      await tab.getByText('What a user has and lacks').waitFor();
      await picture(tab, 'people');
      await lookUp(tab, 'user');
      await tab.getByText('Nothing is missing.').waitFor();
      await picture(tab, 'person');
      await button(tab, /^Remove from EVERYONE/).click();
      await tab.getByText('The configuration gives the group').waitFor();
      await picture(tab, 'person-remove');
      assert.match(await confirm(tab, 'Remove from group'), /is no longer a member of EVERYONE/);
      assert.match(await row(tab, 'EVERYONE').innerText(), /missing/);
      await picture(tab, 'person-missing');
      await button(tab, 'Provision now …').click();
      await tab.getByText('A worker then adds EVERYONE.').waitFor();
      await picture(tab, 'person-provision');
      assert.match(await confirm(tab, 'Provision now'), /queued: the worker adds EVERYONE/);
      await until(tab, 'Nothing is missing.');
      assert.match(await row(tab, 'EVERYONE').innerText(), /member/);
    });
  },

  async 'people: groups are added and removed, a privileged one with a tick'() {
    await stage({}, async (tab) => {
      await lookUp(tab, 'user@example.com');
      await addTo(tab, 'STAFF');
      assert.equal(await heading(tab), 'Add to group: STAFF');
      await link(tab, 'Cancel').click();
      assert.equal(await row(tab, 'STAFF').count(), 0);
      await addTo(tab, 'STAFF');
      assert.match(await confirm(tab, 'Add to group'), /is a member of STAFF/);
      await picture(tab, 'person-done');
      await button(tab, /^Remove from STAFF/).click();
      await confirm(tab, 'Remove from group');
      assert.equal(await row(tab, 'STAFF').count(), 0);
      await addTo(tab, 'ADMINS');
      await picture(tab, 'person-privileged');
      assert.match(await confirm(tab, 'Add to group'), /not in admin.grantable_groups/);
      await picture(tab, 'person-refused');
      await addTo(tab, 'ADMINS');
      await tab.getByLabel('Also a group outside admin.grantable_groups').check();
      assert.match(await confirm(tab, 'Add to group'), /is a member of ADMINS/);
      await button(tab, /^Remove from ADMINS/).click();
      await tab.getByLabel('Also a group outside admin.grantable_groups').check();
      assert.match(await confirm(tab, 'Remove from group'), /no longer a member of ADMINS/);
      await addTo(tab, 'NOWHERE');
      await tab.getByText('group NOWHERE does not exist').waitFor();
      await picture(tab, 'person-no-group');
      await link(tab, 'The user').click();
      assert.match(await heading(tab), /^User /);
    });
  },

  async 'people: a user is signed out, disabled and enabled'() {
    await stage({}, async (tab) => {
      await lookUp(tab, 'user');
      await button(tab, 'Sign out everywhere …').click();
      await tab.getByText('aws cognito-idp admin-user-global-sign-out').waitFor();
      assert.match(await confirm(tab, 'Sign out everywhere'), /signed out/);
      await button(tab, 'Disable …').click();
      await tab.getByText('aws cognito-idp admin-disable-user').waitFor();
      await picture(tab, 'person-disable');
      await confirm(tab, 'Disable');
      await tab.getByText('disabled', { exact: true }).waitFor();
      assert.equal(await button(tab, 'Disable …').count(), 0);
      await picture(tab, 'person-disabled');
      await button(tab, 'Enable …').click();
      await confirm(tab, 'Enable');
      await tab.getByText('enabled', { exact: true }).waitFor();
    });
  },

  async 'people: an invitation is sent again'() {
    await stage({}, async (tab) => {
      await lookUp(tab, 'invited@example.com');
      await tab.getByText('FORCE_CHANGE_PASSWORD').waitFor();
      await picture(tab, 'person-invited');
      await button(tab, 'Resend the invitation …').click();
      assert.match(await confirm(tab, 'Resend the invitation'), /Cognito has sent the mail/);
      await lookUp(tab, 'user');
      assert.equal(await button(tab, 'Resend the invitation …').count(), 0);
    });
  },

  async 'people: personal data is hidden until it is asked for'() {
    await stage({}, async (tab) => {
      await lookUp(tab, 'user');
      assert.ok(!(await tab.content()).includes('user@example.com'));
      await button(tab, 'Show personal data').click();
      await tab.getByText('user@example.com').waitFor();
      await picture(tab, 'person-shown');
      await link(tab, 'Hide').click();
      await button(tab, 'Show personal data').waitFor();
      assert.ok(!(await tab.content()).includes('user@example.com'));
    });
  },

  async 'people: a search goes on to its next page, or says that there is none'() {
    await stage({}, async (tab) => {
      await tab.goto(START);
      await button(tab, 'Search').click();
      await tab.getByText('60 on this page.').waitFor();
      await picture(tab, 'people-found');
      await button(tab, 'Next page').click();
      await button(tab, 'Next page').waitFor({ state: 'detached' });
      const names = tab.locator('tbody a');
      assert.ok((await names.count()) > 0);
      await names.first().click();
      assert.match(await heading(tab), /^User /);
      await tab.goto(START);
      await tab.getByLabel('Attribute').selectOption('username');
      await tab.getByLabel('Begins with').fill('adm');
      await button(tab, 'Search').click();
      await link(tab, 'admin').waitFor();
      await tab.getByLabel('Begins with').fill('<b>nobody');
      await button(tab, 'Search').click();
      await tab.getByText('No user of this pool has an attribute that begins with this.').waitFor();
      await picture(tab, 'people-none');
      await tab.getByLabel('E-mail address, user name or sub').fill('nobody@example.com');
      await button(tab, 'Look up').click();
      await tab.getByText('Search for the beginning of it').waitFor();
      await picture(tab, 'people-unknown');
    });
  },

  async 'people: without script everything works'() {
    await stage({ javaScriptEnabled: false }, async (tab) => {
      await lookUp(tab, 'user');
      for (const action of ['Disable', 'Enable']) {
        await button(tab, `${action} …`).click();
        assert.match(await confirm(tab, action), new RegExp(`the user is ${action.toLowerCase()}d`));
      }
      await addTo(tab, 'STAFF');
      await confirm(tab, 'Add to group');
      await button(tab, /^Remove from STAFF/).click();
      await confirm(tab, 'Remove from group');
      await button(tab, 'Show personal data').click();
      await tab.getByText('user@example.com').waitFor();
      await tab.goto(START);
      await button(tab, 'Search').click();
      await button(tab, 'Next page').click();
      await button(tab, 'Next page').waitFor({ state: 'detached' });
    });
  },

  async 'people: the keyboard alone finds a user and changes a group'() {
    await stage({}, async (tab) => {
      await pressOn(tab, /^People$/);
      await tab.waitForURL(START);
      await focusOn(tab, 'user');
      await tab.keyboard.type('user');
      await tab.keyboard.press('Enter');
      await tab.getByRole('heading', { name: /^User / }).waitFor();
      await focusOn(tab, 'group');
      await tab.keyboard.type('STAFF');
      await tab.keyboard.press('Enter');
      await tab.getByRole('heading', { name: 'Add to group: STAFF' }).waitFor();
      await pressOn(tab, /^Add to group$/);
      await tab.getByText('the user is a member of STAFF').waitFor();
      await pressOn(tab, /^Remove from STAFF …$/);
      await tab.getByRole('heading', { name: 'Remove from group: STAFF' }).waitFor();
      await pressOn(tab, /^Remove from group$/);
      await tab.getByText('the user is no longer a member of STAFF').waitFor();
    });
  },
};
