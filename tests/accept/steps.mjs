// What a user does with the page, on any server.

import assert from 'node:assert/strict';

import { chromium } from 'playwright-core';

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  });

export async function open(tab, link) {
  await tab.goto(link);
  await tab.locator('#invitation').waitFor();
}

export const type = (tab, label, text) => tab.getByLabel(label, { exact: true }).fill(text);

/** Shows the fields that a whole link hides. */
export const change = (tab) => tab.getByRole('button', { name: 'Change' }).click();

export const submit = (tab) => tab.getByRole('button', { name: 'Accept invitation' }).click();

/** What the page says once the answer is there. */
export async function outcome(tab) {
  const said = tab.locator('#accepted:visible, #asked:visible, #message:visible, .wrong:visible');
  await said.first().waitFor();
  return (await said.allInnerTexts()).join('\n');
}

export async function accept(tab, link, password) {
  await open(tab, link);
  await type(tab, 'New password', password);
  await submit(tab);
  assert.match(await outcome(tab), /^Your account is ready/);
}
