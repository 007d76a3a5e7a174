// The view Invitations: the form, the list and the file.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { BASE, button, ended, heading, link, picture, pressOn, stage } from './stage.mjs';

const VIEW = `${BASE}/console/invitations`;
const field = (tab, name) => tab.getByLabel(name, { exact: false }).first();
const csv = (text) => ({ name: 'people.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });

async function fill(tab, address) {
  await field(tab, 'E-mail address').fill(address);
  await field(tab, 'Given name').fill('Ada');
  await field(tab, 'Plan').fill('pro');
  await field(tab, 'Seats').fill('12');
  await field(tab, 'Trial').selectOption('Yes');
  await field(tab, 'Renewal').fill('2026-12-31');
  await field(tab, 'Notes').fill('first line\nsecond line');
  await tab.getByLabel('STAFF').check();
}

/** Presses Tab until the element with this id has the focus. */
async function tabTo(tab, id) {
  for (let presses = 0; presses < 100; presses += 1) {
    await tab.keyboard.press('Tab');
    const at = await tab.evaluate(() => document.activeElement.id || document.activeElement.value);
    if (at === id) return;
  }
  assert.fail(`Tab does not lead to ${id}`);
}

export const invitations = {
  async 'invitations: a person is invited by a form below 40 kB, and shown before'() {
    await stage({}, async (tab) => {
      await link(tab, 'Invitations').first().click();
      await link(tab, 'Invite a person').click();
      await tab.getByText('The next page shows').waitFor();
      await picture(tab, 'invite-form');
      const served = [];
      const count = (response) => {
        served.push(response.body().then(({ length }) => ({ url: response.url(), length })));
      };
      tab.on('response', count);
      await tab.reload({ waitUntil: 'networkidle' });
      tab.off('response', count);
      const parts = await Promise.all(served);
      const bytes = parts.reduce((sum, { length }) => sum + length, 0);
      assert.ok(parts.length >= 3 && bytes < 40_000, JSON.stringify(parts));
      console.log(`      ${bytes} bytes for the form`);

      // The browser checks first.
      await fill(tab, 'ada@example.com');
      await field(tab, 'Seats').fill('501');
      await button(tab, 'Check the invitation').click();
      const invalid = await tab.evaluate(() => document.querySelector(':invalid:not(form)').id);
      assert.equal(invalid, 'custom:seats');
      assert.equal(await heading(tab), 'Invite a person');
      // And the server again.
      await tab.evaluate(() => document.querySelector('.entry').setAttribute('novalidate', ''));
      await field(tab, 'E-mail address').fill('ada');
      await button(tab, 'Check the invitation').click();
      await tab.getByText('Nothing was sent. Correct this first').waitFor();
      await picture(tab, 'invite-errors');
      assert.equal(await field(tab, 'Notes').inputValue(), 'first line\nsecond line');
      assert.ok(await tab.getByLabel('STAFF').isChecked());
      await tab.locator('.note a', { hasText: 'Seats' }).click();
      assert.equal(await tab.evaluate(() => document.activeElement.id), 'custom:seats');
      await field(tab, 'Seats').fill('12');
      await field(tab, 'E-mail address').fill('ada@example.com');
      await button(tab, 'Check the invitation').click();
      await tab.getByText('What will happen').waitFor();
      await picture(tab, 'invite-confirm');
      await button(tab, 'Change').click();
      assert.equal(await field(tab, 'Plan').inputValue(), 'pro');
      assert.equal(await field(tab, 'Notes').inputValue(), 'first line\nsecond line');
      await field(tab, 'Plan').fill('basic');
      await button(tab, 'Check the invitation').click();
      await tab.getByText('basic', { exact: true }).waitFor();
      await button(tab, 'Send 1 invitation').click();
      await tab.getByText('Invited:').waitFor();
      assert.match(await tab.locator('.note[role=status]').innerText(), /^Invited: mail sent\./);
      await tab.getByText('waiting', { exact: true }).first().waitFor();
      await picture(tab, 'invite-result');
      await link(tab, 'Show the user').click();
      assert.match(await heading(tab), /^User [0-9a-f]{8}$/);
      await tab.getByRole('row', { name: /^STAFF / }).waitFor();
    });
  },

  async 'invitations: the list hides people until asked, and resends'() {
    await stage({}, async (tab) => {
      await tab.goto(VIEW);
      await tab.getByText('waiting', { exact: true }).first().waitFor();
      assert.ok(!(await tab.content()).includes('@example.com'));
      await picture(tab, 'invitations');
      await button(tab, 'Show names and addresses').click();
      await tab.getByText('invited@example.com').first().waitFor();
      await picture(tab, 'invitations-shown');
      await button(tab, /^Resend/).first().click();
      await tab.getByText('Cognito sends the invitation again, with a new code.').waitFor();
      await button(tab, 'Resend the invitation').click();
      await tab.getByText('Cognito has sent the mail').waitFor();
      assert.match(await heading(tab), /^User [0-9a-f]{8}$/);
    });
  },

  async 'invitations: a group that may not be given is refused by name'() {
    await stage({}, async (tab) => {
      await tab.goto(`${VIEW}/new`);
      await fill(tab, 'bob@example.com');
      await tab.getByLabel('STAFF').evaluate((box) => {
        box.value = 'ADMINS';
      });
      await button(tab, 'Check the invitation').click();
      await tab.getByText('group ADMINS is not in admin.grantable_groups').first().waitFor();
      await picture(tab, 'invite-group');
    });
  },

  async 'invitations: the keyboard alone invites'() {
    await stage({}, async (tab) => {
      await pressOn(tab, /^Invitations$/);
      await tab.waitForURL(VIEW);
      await pressOn(tab, /^Invite a person$/);
      await tab.waitForURL(/new\?pool=/);
      for (const [id, text] of [
        ['email', 'cleo@example.com'],
        ['given_name', 'Cleo'],
        ['custom:plan', 'pro'],
        ['custom:seats', '7'],
        ['custom:trial', 'Y'],
        ['STAFF', ' '],
      ]) {
        await tabTo(tab, id);
        await tab.keyboard.type(text);
      }
      await pressOn(tab, /^Check the invitation$/);
      await tab.getByText('What will happen').waitFor();
      assert.match(await tab.locator('.facts').innerText(), /Trial\s+true[\s\S]*EVERYONE.*STAFF/);
      await pressOn(tab, /^Send 1 invitation$/);
      await tab.getByText('Invited:').waitFor();
    });
  },

  async 'invitations: without script a person is invited, and a pasted list'() {
    await stage({ javaScriptEnabled: false }, async (tab) => {
      await tab.goto(`${VIEW}/new`);
      await fill(tab, 'dan@example.com');
      await button(tab, 'Check the invitation').click();
      await button(tab, 'Send 1 invitation').click();
      await tab.getByText('Invited:').waitFor();
      await tab.goto(`${VIEW}/file`);
      assert.ok(!(await field(tab, 'CSV file').isVisible()));
      await field(tab, 'List').fill('email,custom:plan\neve@example.com,pro\n');
      await button(tab, 'Check the list').click();
      await button(tab, 'Send 1 invitation').click();
      await tab.getByText('1 invited').waitFor({ timeout: 60_000 });
    });
  },

  async 'invitations: a file is checked row by row, sent, stopped and downloaded'() {
    await stage({}, async (tab, context) => {
      await tab.goto(`${VIEW}/file`);
      await picture(tab, 'file');
      const choose = async (text) => {
        await field(tab, 'List').fill('');
        await field(tab, 'CSV file').setInputFiles(csv(text));
        await tab.waitForFunction((begin) => document.getElementById('rows').value.startsWith(begin), 'email');
      };
      await choose('email,custom:seats,groups\nada,1,\nfay@example.com,many,\ngil@example.com,1,A B\n');
      await button(tab, 'Check the list').click();
      await tab.getByText('3 errors').waitFor();
      await picture(tab, 'file-errors');
      // As a program for tables saves a file that is not UTF-8.
      await choose(Buffer.from('email,name\nzoe@example.com,Zo\xeb\n', 'latin1'));
      await button(tab, 'Check the list').click();
      await tab.getByText('is not UTF-8').waitFor();
      await choose(`email\n${'x'.repeat(1_000_001)}`);
      await button(tab, 'Check the list').click();
      await tab.getByText('this page takes 1 MB').waitFor();
      await choose(`email\n${'x'.repeat(8_000_000)}`);
      await button(tab, 'Check the list').click();
      await tab.getByText('A list of invitations may have at most 1 MB').waitFor();
      await tab.goto(`${VIEW}/file`);
      const rows = Array.from({ length: 120 }, (_, at) => `many-${at}@example.com,Many,STAFF`);
      await choose(`email,given_name,groups\n${rows.join('\n')}\n`);
      await button(tab, 'Check the list').click();
      await tab.getByText('What will happen').waitFor();
      assert.ok(!(await tab.locator('main').innerText()).includes('@example.com'));
      await picture(tab, 'file-preview');
      await field(tab, 'Type the number').fill('119');
      await button(tab, 'Send 120 invitations').click();
      await tab.getByText('This is not the number.').waitFor();
      await picture(tab, 'file-refused');
      await field(tab, 'Type the number').fill('120');
      await button(tab, 'Send 120 invitations').click();
      await tab.getByText(/\d+ invited/).waitFor({ timeout: 60_000 });
      await picture(tab, 'file-progress');
      const job = tab.url();
      await tab.close();
      const other = await context.newPage();
      await other.goto(VIEW);
      await link(other, 'Sending 120 invitations').click();
      assert.equal(other.url(), job);
      await button(other, 'Stop').click();
      const end = await ended(other);
      assert.match(end, /invited, \d+ not tried/);
      await picture(other, 'file-stopped');
      const [download] = await Promise.all([
        other.waitForEvent('download'),
        link(other, 'Download the result file').click(),
      ]);
      const lines = readFileSync(await download.path(), 'utf8').trim().split('\n');
      assert.ok(lines.length > 1 && lines.length < 121, `${lines.length}`);
      assert.ok(!lines.some((line) => line.includes('@')));
      await other.goto(VIEW);
      await picture(other, 'invitations-lists');
    });
  },
};
