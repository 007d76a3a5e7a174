// The link, the views Reconcile and Deployment, and what works without script.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { BASE, LINK, browser, button, ended, heading, link, picture, read, stage } from './stage.mjs';

const LIST = `${BASE}/console/dead-letters`;
const RECONCILE = `${BASE}/console/reconcile`;
const DEPLOYMENT = `${BASE}/console/deployment`;

async function cognito(operation, input) {
  const answer = await fetch(process.env.AWS_ENDPOINT_URL, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `AWSCognitoIdentityProviderService.${operation}`,
      authorization: 'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/cognito-idp/aws4_request',
    },
    body: JSON.stringify({ UserPoolId: process.env.POOL, ...input }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

/** Confirmed users whose sign-up never reached the queue. */
async function missUsers(count, prefix) {
  for (let at = 0; at < count; at += 1) {
    const Username = `${prefix}-${at}`;
    await cognito('AdminCreateUser', { Username, MessageAction: 'SUPPRESS' });
    await cognito('AdminSetUserPassword', { Username, Password: 'A-passw0rd', Permanent: true });
  }
}

/** The number of sign-ups that a dry run has found. */
const wouldQueue = (text) => Number(text.match(/dry run: (\d+) would be queued/)[1]);

export const checks = {
  async 'the link works once'() {
    await stage({}, async (tab) => {
      await tab.goto(LINK);
      await tab.waitForURL(`${BASE}/console`);
      const other = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      const page = await other.newPage();
      await page.goto(LINK);
      await page.getByText('This link was already used').waitFor();
      await picture(page, 'used-link');
      await page.goto(`${BASE}/console`);
      await page.getByText('You are not signed in').waitFor();
      await other.close();
    });
  },

  async 'a reconcile is counted, run, followed and stopped'() {
    await missUsers(150, 'missed');
    await stage({}, async (tab, context) => {
      await link(tab, 'Reconcile').first().click();
      await tab.getByText('This console has run none').waitFor();
      await picture(tab, 'reconcile-empty');
      await tab.getByLabel('Only users created since').fill('nonsense');
      await tab.getByLabel('Also users of external').check();
      await button(tab, 'Dry run').click();
      await tab.getByText('This must be a time').waitFor();
      assert.ok(await tab.getByLabel('Also users of external').isChecked());
      await picture(tab, 'reconcile-wrong');
      await tab.getByLabel('Only users created since').fill('2h');
      await button(tab, 'Dry run').click();
      const found = wouldQueue(await ended(tab));
      assert.ok(found >= 150, `${found}`);
      await picture(tab, 'reconcile-dry-run');
      await link(tab, /Go on to the run/).click();
      assert.equal(await heading(tab), `Queue ${found} sign-ups`);
      await picture(tab, 'reconcile-run');
      await tab.getByLabel(/^Type the number/).fill('1');
      await button(tab, `Queue ${found} sign-ups`).click();
      await tab.getByText('This is not the number.').waitFor();
      await picture(tab, 'reconcile-refused');
      await tab.getByLabel(/^Type the number/).fill(String(found));
      await button(tab, `Queue ${found} sign-ups`).click();
      await tab.getByText(/[1-9]\d* queued/).waitFor({ timeout: 60_000 });
      await picture(tab, 'reconcile-progress');
      const job = tab.url();
      await tab.close();
      const other = await context.newPage();
      await other.goto(job);
      await button(other, 'Stop').click();
      assert.match(await ended(other), /stopped: what is queued stays queued/);
      await picture(other, 'reconcile-stopped');
      await link(other, 'Reconcile').first().click();
      await other.getByText('Last runs').waitFor();
      await picture(other, 'reconcile');
      await link(other, /^Queue \d+ sign-ups/).first().waitFor();
      await link(other, 'Now').first().click();
      await other.getByText('of this console').waitFor();
    });
  },

  async 'a check is asked for, and shows the findings'() {
    await stage({}, async (tab) => {
      await link(tab, 'Deployment').first().click();
      await picture(tab, 'deployment-empty');
      await button(tab, /^Check (now|again)$/).click();
      await tab.waitForURL(DEPLOYMENT, { timeout: 60_000 });
      await tab.getByText(/checked .*just now/).waitFor();
      assert.match(await tab.locator('#live').innerText(), /Queue usher/);
      await picture(tab, 'deployment');
      await tab.getByText(/^All \d+ settings$/).click();
      await tab.getByText('worker.max_attempts', { exact: true }).waitFor();
      await picture(tab, 'deployment-settings');
    });
  },

  async 'without script reconcile and check work'() {
    await missUsers(2, 'unscripted');
    await stage({ javaScriptEnabled: false }, async (tab) => {
      await tab.goto(RECONCILE);
      await button(tab, 'Dry run').click();
      const found = wouldQueue(await ended(tab));
      await link(tab, /Go on to the run/).click();
      const typed = tab.getByLabel(/^Type the number/);
      if (await typed.count()) await typed.fill(String(found));
      await button(tab, /^Queue \d+ sign-ups?$/).click();
      assert.match(await ended(tab), new RegExp(`; ${found} queued`));
      await tab.goto(DEPLOYMENT);
      await button(tab, /^Check (now|again)$/).click();
      await tab.waitForURL(DEPLOYMENT, { timeout: 60_000 });
      await tab.getByText('Queue usher').waitFor();
    });
  },

  async 'without script a replay, an export and a drop work'() {
    await stage({ javaScriptEnabled: false }, async (tab) => {
      await read(tab);
      const two = `${LIST}?reason=throttled&limit=2`;
      await tab.goto(two);
      await link(tab, 'Replay …').click();
      assert.equal(await button(tab, /^Replay/).count(), 0, 'a dry run comes first');
      await button(tab, /^Dry run of 2/).click();
      await ended(tab);
      await link(tab, /Go on to the replay/).click();
      await button(tab, /^Replay 2 dead letters/).click();
      assert.match(await ended(tab), /2 dead letters sent to the source queue/);
      await read(tab);
      await tab.goto(two);
      await link(tab, 'Drop …').click();
      const [download] = await Promise.all([
        tab.waitForEvent('download'),
        button(tab, /^Export 2/).click(),
      ]);
      const lines = readFileSync(await download.path(), 'utf8').trim().split('\n');
      assert.equal(lines.length, 2);
      await tab.getByLabel('Why').fill('of a check');
      await tab.getByLabel(/^Type the number/).fill('2');
      await button(tab, /^Drop 2 dead letters/).click();
      assert.match(await ended(tab), /2 dead letters deleted/);
    });
  },
};
