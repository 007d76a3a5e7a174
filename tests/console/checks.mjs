// Every view and action.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { BASE, button, ended, heading, link, picture, pressOn, read, stage } from './stage.mjs';

const LIST = `${BASE}/console/dead-letters`;
const all = (tab) => tab.locator('.actions p').innerText();
const number = async (tab) => Number((await all(tab)).replaceAll(',', '').match(/\d+/)[0]);

export const checks = {
  async 'now in every size, below 40 kB'() {
    await stage({}, async (tab) => {
      await tab.locator('.figures dd').first().waitFor();
      await tab.getByText('through, except').waitFor();
      assert.match(await heading(tab), /^All sign-ups are through, except \d+ dead letters\.$/);
      await tab.locator('svg').first().waitFor({ timeout: 40_000 });
      await picture(tab, 'now');
      const served = [];
      tab.on('response', (response) => {
        served.push(response.body().then(({ length }) => ({ url: response.url(), length })));
      });
      await tab.reload({ waitUntil: 'networkidle' });
      const parts = await Promise.all(served);
      const bytes = parts.reduce((sum, { length }) => sum + length, 0);
      assert.ok(parts.length >= 3 && bytes < 40_000, JSON.stringify(parts));
      assert.ok(parts.find(({ url }) => url.endsWith('.js')).length < 3000);
      console.log(`      ${bytes} bytes for Now`);
      const times = tab.locator('time');
      assert.match(await times.first().getAttribute('title'), / UTC$/);
    });
  },

  async 'the empty view says what it is for, then a reading shows reasons and list'() {
    await stage({}, async (tab) => {
      await link(tab, 'Dead letters').first().click();
      await tab.getByText('A dead letter is a message').waitFor();
      await picture(tab, 'empty');
      await read(tab);
      await tab.getByText('By reason').waitFor();
      await picture(tab, 'list');
      const total = await number(tab);
      assert.ok(total >= 500, `${total}`);
      await tab.getByText('Filter', { exact: true }).first().click();
      await tab.getByLabel('throttled').check();
      await tab.getByLabel('Since (UTC)').fill('nonsense');
      await button(tab, 'Filter').click();
      await tab.getByText('This must be a time').waitFor();
      assert.equal(await tab.locator('.actions').count(), 0, 'no action on half of a filter');
      await picture(tab, 'filter');
      await tab.getByLabel('Since (UTC)').fill('2h');
      await button(tab, 'Filter').click();
      const some = await number(tab);
      assert.ok(some > 0 && some < total, `${some} of ${total}`);
      assert.match(await all(tab), /dead letters: throttled, since .* UTC/);
      await link(tab, 'Show all').click();
      await link(tab, 'Later').click();
      assert.match(await tab.locator('nav.bar p').innerText(), /^51 to 100 of/);
    });
  },

  async 'one dead letter hides its body until it is asked for'() {
    await stage({}, async (tab) => {
      await tab.goto(LIST);
      await tab.locator('tbody a[href*="dead-letters/"]').first().click();
      await tab.getByText('Original message id').or(tab.getByText('Receives')).first().waitFor();
      assert.ok(!(await tab.content()).includes('@example.com'));
      await picture(tab, 'one');
      await button(tab, 'Show the body').click();
      await tab.locator('pre').waitFor();
      assert.ok((await tab.content()).includes('@example.com'));
      await picture(tab, 'body');
    });
  },

  async 'a replay is predicted, sent, followed and stopped'() {
    await stage({}, async (tab, context) => {
      await read(tab);
      await link(tab, 'user_not_found').first().click();
      const before = await number(tab);
      await link(tab, 'Replay …').click();
      await picture(tab, 'replay');
      await button(tab, /^Dry run of/).click();
      await tab.locator('progress').waitFor();
      const predicted = await ended(tab);
      assert.match(predicted, /user_not_found\s+[\d,]+\s+would fail again/);
      await picture(tab, 'dry-run');
      await link(tab, /Go on to the replay/).click();
      await tab.getByText('would fail again').waitFor();
      await tab.getByLabel(/^Type the number/).fill(String(before + 1));
      await button(tab, /^Replay \d+ dead letters: user_not_found$/).click();
      await tab.getByText('This is not the number.').waitFor();
      await picture(tab, 'replay-refused');
      await tab.getByLabel(/^Type the number/).fill(String(before));
      await button(tab, /^Replay \d+ dead letters: user_not_found$/).click();
      await tab.getByText(/\d+ queued/).waitFor({ timeout: 60_000 });
      await picture(tab, 'progress');
      const job = tab.url();
      // It goes on without a tab.
      const done = async (page) => Number((await page.locator('.lead').innerText()).match(/^\d+/)[0]);
      const then = await done(tab);
      await tab.close();
      const other = await context.newPage();
      await other.goto(job);
      assert.ok((await done(other)) >= then);
      await button(other, 'Stop').click();
      const end = await ended(other);
      assert.match(end, /sent to the source queue/);
      assert.match(end, /not touched/);
      await picture(other, 'stopped');
      // What was read is stale now.
      await other.goto(LIST);
      await other.getByText('The queue has changed since').waitFor();
      await picture(other, 'stale');
      await link(other, 'Drop …').click();
      await other.getByText('Read it again first').waitFor();
      await picture(other, 'refused');
    });
  },

  async 'a drop asks for the number and the reason'() {
    await stage({}, async (tab) => {
      await read(tab);
      await link(tab, 'not_json').first().click();
      const count = await number(tab);
      await link(tab, 'Drop …').click();
      await picture(tab, 'drop');
      const [download] = await Promise.all([
        tab.waitForEvent('download'),
        button(tab, /^Export/).click(),
      ]);
      const lines = readFileSync(await download.path(), 'utf8').trim().split('\n');
      assert.equal(lines.length, count);
      await tab.getByLabel('Why').fill('sent by a test');
      await tab.getByLabel(/^Type the number/).fill(String(count));
      await button(tab, /^Drop \d+ dead letters: not_json$/).click();
      const end = await ended(tab);
      assert.match(end, new RegExp(`${count} dead letters deleted`));
      await picture(tab, 'dropped');
    });
  },

  async 'the keyboard alone replays one'() {
    await stage({}, async (tab) => {
      await pressOn(tab, /^Dead letters$/);
      await tab.waitForURL(LIST);
      await pressOn(tab, /^Read (again|the dead letters)$/);
      await tab.waitForURL(LIST, { timeout: 120_000 });
      await tab.getByText('By reason').waitFor();
      await pressOn(tab, /^throttled$/);
      await tab.waitForURL(/reason=throttled/);
      await pressOn(tab, /^[0-9a-f]{8}$/);
      await tab.getByText('Receives').waitFor();
      await pressOn(tab, /^Replay …$/);
      await tab.getByText('What is affected').waitFor();
      await pressOn(tab, /^Dry run of 1 dead letter: id /);
      await ended(tab);
      await pressOn(tab, /^Go on to the replay …$/);
      await tab.getByText('What is affected').waitFor();
      await pressOn(tab, /^Replay 1 dead letter: id /);
      assert.match(await ended(tab), /1 dead letter sent to the source queue/);
    });
  },

  async 'without script everything works'() {
    await stage({ javaScriptEnabled: false }, async (tab) => {
      await read(tab);
      await link(tab, 'group_not_found').first().click();
      const count = await number(tab);
      await link(tab, 'Drop …').click();
      await tab.getByLabel('Why').fill('no script');
      await tab.getByLabel(/^Type the number/).fill(String(count));
      await button(tab, /^Drop/).click();
      await tab.getByText(`${count} dead letters deleted`).waitFor({ timeout: 60_000 });
      await read(tab);
      assert.equal(await link(tab, 'group_not_found').count(), 0);
    });
  },

  async 'pages are fast'() {
    await stage({}, async (tab, context) => {
      await read(tab);
      const [{ name, value }] = await context.cookies(`${BASE}/console`);
      const headers = { cookie: `${name}=${value}` };
      for (const path of ['/console', '/console/dead-letters', '/console/dead-letters?reason=throttled']) {
        const times = [];
        for (let at = 0; at < 100; at += 1) {
          const start = performance.now();
          const answer = await fetch(BASE + path, { headers });
          await answer.text();
          times.push(performance.now() - start);
          assert.equal(answer.status, 200);
        }
        times.sort((a, b) => a - b);
        console.log(`      ${path}: p50 ${times[50].toFixed(1)} ms, p95 ${times[95].toFixed(1)} ms`);
      }
    });
  },
};
