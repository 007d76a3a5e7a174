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
  await checkAll(process.argv[2]);
}

async function checkAll(chosen) {
  const { browser } = await import('./stage.mjs');
  const { runChecks } = await import('./run-checks.mjs');
  const files = ['behaviour', 'links', 'pictures'];
  try {
    const modules = await Promise.all(files.map((file) => import(`./${file}.mjs`)));
    await runChecks(modules.map(({ checks }) => checks), chosen);
  } finally {
    await browser.close();
  }
}
