// A signed-in tab, and what every check looks for: complaints of the browser, text that is cut
// off, and what axe-core finds.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { chromium } from 'playwright-core';

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
});
export const LINK = process.env.CONSOLE;
export const BASE = new URL(LINK).origin;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The cookie of the first tab: the link works once. */
let storageState;

/** Opens the console in a browser of its own, and plays. */
export async function stage(options, play) {
  const start = storageState ? `${BASE}/console` : LINK;
  await stageAt(start, { storageState, ...options }, async (tab, context) => {
    await tab.waitForURL(`${BASE}/console`);
    storageState ??= await context.storageState();
    await play(tab, context);
  });
}

/** Opens a URL in a browser of its own, and plays. */
export async function stageAt(start, options, play) {
  const origin = new URL(start).origin;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const trouble = [];
  const asked = [];
  try {
    if (options.javaScriptEnabled !== false) {
      await context.exposeBinding('complain', (_, text) => trouble.push(text));
      await context.addInitScript(() => {
        addEventListener('securitypolicyviolation', (event) => complain(`CSP: ${event.violatedDirective}`));
        window.alert = (text) => complain(`alert: ${text}`);
      });
    }
    context.on('request', (request) => asked.push(request.url()));
    const tab = await context.newPage();
    tab.on('pageerror', (error) => trouble.push(String(error)));
    tab.on('console', (said) => {
      if (!said.text().startsWith('Failed to load resource')) trouble.push(said.text());
    });
    await tab.goto(start);
    await play(tab, context);
    assert.deepEqual(trouble, []);
    for (const url of asked) {
      assert.ok(url.startsWith(origin), `asked for ${url}`);
      assert.ok(!decodeURIComponent(url).includes('@'), `personal data in ${url}`);
    }
  } finally {
    await context.close();
  }
}

export const button = (tab, name) => tab.getByRole('button', { name });
export const link = (tab, name) => tab.getByRole('link', { name });
export const heading = (tab) => tab.locator('h1').innerText();

/** Waits until the job of this page has ended; returns what it says. */
export async function ended(tab) {
  await tab.locator('#live .note, #live table').first().waitFor({ timeout: 120_000 });
  return tab.locator('#live').innerText();
}

/** Reads the dead-letter queue again. */
export async function read(tab) {
  await tab.goto(`${BASE}/console/dead-letters`);
  await button(tab, /^Read (again|the dead letters)$/).click();
  await tab.waitForURL(`${BASE}/console/dead-letters`, { timeout: 120_000 });
}

const { PICTURES } = process.env;

/**
 * Checks the page wide in the light theme and narrow in the dark one: a theme changes no size.
 * With `PICTURES` it takes a picture of both themes, wide and narrow.
 */
export async function picture(tab, name) {
  for (const colorScheme of ['light', 'dark']) {
    await tab.emulateMedia({ colorScheme });
    for (const width of [1280, 390]) {
      const isChecked = (colorScheme === 'light') === (width > 1000);
      if (!isChecked && !PICTURES) continue;
      await tab.setViewportSize({ width, height: 900 });
      const seen = await tab.evaluate(() => ({
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        cut: [...document.querySelectorAll('main *, header *, footer *')]
          .filter((element) => !element.closest('.unseen, .skip, thead'))
          .filter((element) => {
            const { left, right } = element.getBoundingClientRect();
            return left < -0.5 || right > innerWidth + 0.5;
          })
          .map((element) => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`),
      }));
      assert.ok(seen.overflow <= 0, `${name}: ${seen.overflow} px too wide at ${width}`);
      assert.deepEqual(seen.cut, [], `${name}: cut off at ${width} px`);
      if (PICTURES) {
        await tab.screenshot({
          path: `${PICTURES}/${name}-${colorScheme}-${width}.png`,
          fullPage: width > 1000 || name !== 'list',
        });
      }
      if (isChecked) await accessible(tab, `${name} ${colorScheme} ${width}`);
    }
  }
  await tab.emulateMedia({ colorScheme: 'light' });
  await tab.setViewportSize({ width: 1280, height: 900 });
}

async function accessible(tab, name) {
  if (!(await tab.evaluate(() => 'axe' in window))) await tab.evaluate(AXE);
  const { violations } = await tab.evaluate(() => axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  assert.deepEqual(found, [], name);
}

/** Presses Tab until what has the focus is called `name`, and then Enter. */
export async function pressOn(tab, name) {
  for (let presses = 0; presses < 200; presses += 1) {
    await tab.keyboard.press('Tab');
    const focused = await tab.evaluate(() => {
      const { activeElement: at } = document;
      const { outlineStyle } = getComputedStyle(at);
      return { text: at.textContent.trim(), isSeen: outlineStyle !== 'none' };
    });
    if (name.test(focused.text)) {
      assert.ok(focused.isSeen, `the focus on ${focused.text} is not seen`);
      await tab.keyboard.press('Enter');
      return;
    }
  }
  assert.fail(`Tab does not lead to ${name}`);
}
