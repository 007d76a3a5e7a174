// How the page reads links.

import assert from 'node:assert/strict';

import { ambiguous, code as randomCode, ENCODERS, random, TABLE, USERNAMES } from './codes.mjs';
import { field, OK, stage } from './stage.mjs';
import { open } from './steps.mjs';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

export const checks = {};

checks['links of a table'] = () =>
  stage({ answers: [OK] }, async (tab) => {
    const got = await tab.evaluate(async (table) => {
      const { parse } = await import('/accept/accept.js');
      return table.map(([hash]) => parse(hash));
    }, TABLE);
    TABLE.forEach(([hash, username, code], at) => assert.deepEqual(got[at], { username, code }, hash));
  });

checks[`links with random codes, through the browser (seed ${SEED})`] = () =>
  stage({ answers: [OK] }, async (tab, server) => {
    const draw = random(SEED);
    for (let run = 0; run < 120; run += 1) {
      const username = USERNAMES[draw(USERNAMES.length)];
      const code = randomCode(draw);
      if (ambiguous(code)) continue;
      // Another query makes it another page.
      await open(tab, `${server.base}/accept?run=${run}#u=${username}&c=${code}`);
      assert.equal(await field(tab, 'User name').inputValue(), username, code);
      assert.equal(await field(tab, 'Code').inputValue(), code);
    }
  });

checks[`links with random codes, by the browser’s own URL, and encoded (seed ${SEED})`] = () =>
  stage({ answers: [OK] }, async (tab) => {
    const draw = random(SEED + 1);
    const cases = [];
    for (let run = 0; run < 20_000; run += 1) {
      const username = USERNAMES[draw(USERNAMES.length)];
      const code = randomCode(draw);
      cases.push({ how: 'raw', hash: `u=${username}&c=${code}`, username, code });
      if (run % 4 === 0) {
        const how = Object.keys(ENCODERS)[draw(Object.keys(ENCODERS).length)];
        const encode = ENCODERS[how];
        cases.push({ how, hash: `u=${encode(username)}&c=${encode(code)}`, username, code });
        cases.push({ how: 'outside', hash: encodeURIComponent(`u=${username}&c=${code}`), username, code });
      }
    }
    const wrong = await tab.evaluate(async (cases) => {
      const { parse } = await import('/accept/accept.js');
      return cases.filter(({ hash, username, code }) => {
        const got = parse(new URL(`/accept#${hash}`, location.href).hash);
        return got.username !== username || got.code !== code;
      });
    }, cases);
    const sure = wrong.filter(({ how, code }) => how !== 'raw' || !ambiguous(code));
    assert.deepEqual(sure.slice(0, 5), []);
    const unclear = cases.filter(({ how, code }) => how === 'raw' && ambiguous(code)).length;
    const raw = cases.filter(({ how }) => how === 'raw').length;
    const measured = `${cases.length} links, ${raw} of them raw: ${unclear} can be read two ways, ${wrong.length} were read wrongly`;
    console.log(`      ${measured}`);
    assert.ok(wrong.length < raw / 1000, measured);
  });
