// Each state, wide and narrow. With PICTURES there is a picture of each in both themes.

import assert from 'node:assert/strict';

import {
  ASKED,
  BRAND,
  CODE,
  CONTACT,
  NEEDED,
  OK,
  PASSWORD,
  problem,
  REFUSED,
  RULES,
  send,
  stage,
} from './stage.mjs';
import { change, submit, type } from './steps.mjs';

/** What is in each picture: the answers, and what is done to get there. */
const LONG =
  'Ann-Kathrin.Freifrau-von-Müller-Lüdenscheidt-Großhöflein@donaudampfschifffahrtsgesellschaft.example.com';
const pictures = {
  opened: { contact: CONTACT },
  changed: { contact: CONTACT, play: change },
  plain: { brand: '', minLength: '', required: '' },
  'without-link': { link: '/accept', contact: CONTACT },
  empty: { link: '/accept', play: (tab) => submit(tab) },
  long: {
    link: `/accept#u=${LONG}&c=${CODE}${CODE}`,
    answers: [
      problem(409, 'attributes_needed', {
        attributes: [
          'custom:donaudampfschifffahrtsgesellschaftskapitänsmütze',
          'custom:a_rather_long_name_of_a_field_that_somebody_once_made',
        ],
      }),
    ],
    contact: `mailto:${encodeURIComponent(LONG)}`,
    play: send,
  },
  shown: {
    play: async (tab) => {
      await type(tab, 'New password', PASSWORD);
      await tab.locator('#reveal').click();
    },
  },
  sending: {
    answers: [{ ...OK, after: new Promise(() => {}) }],
    play: async (tab) => {
      await type(tab, 'New password', PASSWORD);
      await submit(tab);
      await tab.mouse.move(0, 0);
    },
  },
  'password-refused': { answers: [REFUSED], play: send },
  'password-refused-once': { answers: [problem(422, 'password_refused', { lacks: ['length'] })], play: send },
  attributes: { answers: [NEEDED], contact: CONTACT, play: send },
  'attribute-refused': {
    answers: [NEEDED, problem(422, 'attribute_refused', { attributes: ['phone_number'] })],
    async play(tab) {
      await send(tab);
      for (const [label, text] of [
        ['First name', 'Jürgen'],
        ['Date of birth', '1990-02-28'],
        ['Phone number', '030 1234'],
        ['Cost centre no', '7'],
      ]) {
        await type(tab, label, text);
      }
      await submit(tab);
      await tab.locator('#attribute-2[aria-invalid=true]').waitFor();
    },
  },
  'not-accepted': {
    answers: [problem(403, 'not_accepted')],
    done: 'https://app.example.com/',
    contact: CONTACT,
    play: send,
  },
  expired: { answers: [problem(410, 'expired')], contact: CONTACT, play: send },
  'new-code-failed': {
    answers: [problem(410, 'expired'), problem(503, 'unavailable')],
    async play(tab) {
      await send(tab);
      await tab.getByRole('button', { name: 'Ask for a new code' }).click();
      await tab.getByText('not available').waitFor();
    },
  },
  asked: {
    answers: [problem(410, 'expired'), ASKED],
    contact: CONTACT,
    async play(tab) {
      await send(tab);
      await tab.getByRole('button', { name: 'Ask for a new code' }).click();
      await tab.locator('#asked').waitFor();
    },
  },
  'too-many': {
    answers: [{ ...problem(429, 'too_many_requests'), headers: { 'Retry-After': '30' } }],
    play: send,
  },
  'no-answer': { answers: [{ cut: true }], play: send },
  accepted: { answers: [OK], play: send },
  'accepted-contact': { answers: [OK], contact: CONTACT, play: send },
  'accepted-leading-on': {
    answers: [OK],
    done: 'https://app.example.com/',
    contact: CONTACT,
    prepare: (tab) => tab.clock.install(),
    play: send,
  },
};

const { PICTURES } = process.env;

async function picture(name, { play, ...serving }) {
  for (const width of [390, 1200]) {
    const context = { viewport: { width, height: width < 500 ? 800 : 900 } };
    await stage({ answers: [OK], brand: BRAND, ...RULES, ...serving, context }, async (tab) => {
      await play?.(tab);
      const over = await tab.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.ok(over <= 0, `${name}: ${over} px too wide at ${width}`);
      if (!PICTURES) return;
      for (const colorScheme of ['light', 'dark']) {
        await tab.emulateMedia({ colorScheme });
        await tab.screenshot({ path: `${PICTURES}/${name}-${colorScheme}-${width}.png`, fullPage: true });
      }
    });
  }
}

export const checks = Object.fromEntries(
  Object.entries(pictures).map(([name, what]) => [`picture: ${name}`, () => picture(name, what)]),
);
