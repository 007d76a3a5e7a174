// A tab with a server, and what each test checks: no error, and no secret left behind.

import assert from 'node:assert/strict';

import { serve } from './server.mjs';
import { launch, open, outcome, submit, type } from './steps.mjs';

export const browser = await launch();

export const CODE = `a^$*.[]{}()?"!@#%&/\\,><':;|_~\`=+-Z`;
export const PASSWORD = 'Prüfung "7" <für> Übermut & mehr';
export const LINK = `/accept#u=jürgen@example.com&c=${CODE}`;
export const CONTACT = 'mailto:help@example.com';
export const BRAND = 'Example Library';
export const RULES = { minLength: '12', required: 'uppercase lowercase number symbol' };

export const OK = { status: 200, body: { status: 'accepted' } };
export const ASKED = { status: 202, body: { status: 'asked' } };
export const problem = (status, code, more = {}) => ({
  status,
  body: { type: 'about:blank', title: code, status, code, ...more },
});
export const REFUSED = problem(422, 'password_refused', {
  lacks: ['length', 'uppercase', 'lowercase', 'number', 'symbol', 'history'],
});
export const NEEDED = problem(409, 'attributes_needed', {
  attributes: ['given_name', 'birthdate', 'phone_number', 'custom:costCentre_no'],
});

/** Opens the page, plays, and looks at what was left behind. */
export async function stage({ link = LINK, context: options = {}, prepare, ...serving }, play) {
  const server = await serve(serving);
  const context = await browser.newContext(options);
  const trouble = [];
  const asked = [];
  try {
    await context.exposeBinding('complain', (_, text) => trouble.push(text));
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => complain(`CSP: ${event.violatedDirective}`));
    });
    const tab = await context.newPage();
    tab.on('request', (request) => asked.push(request.url()));
    tab.on('pageerror', (error) => trouble.push(String(error)));
    tab.on('console', (said) => {
      // The browser's own line on an answer that is an error.
      if (!said.text().startsWith('Failed to load resource')) trouble.push(said.text());
    });
    await prepare?.(tab);
    await open(tab, server.base + link);
    await play(tab, server);
    assert.deepEqual(trouble, []);
    await leavesNothing(tab, context, server, asked);
  } finally {
    await context.close();
    await server.stop();
  }
}

async function leavesNothing(tab, context, server, asked) {
  // Encoded in whatever way, too.
  const bytes = (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString();
  const plain = (text) => text.replace(/(?:%[0-9a-f]{2})+/gi, bytes);
  const holds = (text) =>
    [CODE, PASSWORD].some((secret) => text.includes(secret) || plain(text).includes(secret));
  for (const url of asked) {
    // A fragment is not sent, and that of a fetch would be of no use.
    assert.ok(!holds(url.split('#')[0]), url);
  }
  for (const { url, headers } of server.requests) {
    assert.ok(!holds(url) && !url.includes('#') && !holds(headers.join('\n')), url);
  }
  const protocol = await context.newCDPSession(tab);
  const { entries } = await protocol.send('Page.getNavigationHistory');
  for (const { url } of entries) {
    assert.ok(!url.includes('#') && !holds(url), url);
  }
  if (!tab.url().startsWith(server.base)) return;
  assert.equal(new URL(tab.url()).hash, '');
  const kept = await tab.evaluate(async () => ({
    local: localStorage.length,
    session: sessionStorage.length,
    cookie: document.cookie,
    databases: (await indexedDB.databases()).length,
    state: history.state,
  }));
  assert.deepEqual(kept, { local: 0, session: 0, cookie: '', databases: 0, state: null });
}

export const field = (tab, label) => tab.getByLabel(label, { exact: true });
export const sent = (server, at = 0) => JSON.parse(server.posts()[at].body);
/** The element that has the focus: its id, or its text. */
export const focused = (tab) =>
  tab.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
export async function send(tab) {
  await type(tab, 'New password', PASSWORD);
  await submit(tab);
  return outcome(tab);
}
