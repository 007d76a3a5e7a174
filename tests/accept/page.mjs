// The page that accepts invitations, as a user uses it. An argument chooses the checks
// whose names hold it.

import { accept, launch } from './steps.mjs';

if (process.env.ACCEPT_LINK && process.env.ACCEPT_PASSWORD) {
  const browser = await launch();
  try {
    await accept(await browser.newPage(), process.env.ACCEPT_LINK, process.env.ACCEPT_PASSWORD);
    console.log('ok    accepted');
  } finally {
    await browser.close();
  }
} else {
  await checkAll(process.argv[2] ?? '');
}

async function checkAll(chosen) {
  const { browser } = await import('./stage.mjs');
  let passed = 0;
  let failed = 0;
  try {
    for (const file of ['behaviour', 'links', 'pictures']) {
      const { checks } = await import(`./${file}.mjs`);
      for (const [name, check] of Object.entries(checks).filter(([name]) => name.includes(chosen))) {
        const start = performance.now();
        try {
          await check();
          passed += 1;
          console.log(`ok    ${name} (${Math.round(performance.now() - start)} ms)`);
        } catch (error) {
          failed += 1;
          console.log(`FAIL  ${name}\n${error.stack}`);
        }
      }
    }
  } finally {
    await browser.close();
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
