// Counts what holds and what does not.

import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

let passed = 0;
let failed = 0;

// Whether it holds: a failure ends nothing by itself.
export async function check(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok    ${name}`);
    return true;
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n${error.stack}`);
    return false;
  }
}

// Asks again until the answer is true.
export async function until(what, probe, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  while (!(await probe())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await pause(100);
  }
}

// However the test ends. The script prints the summary after the logs.
process.on('exit', (code) => {
  if (code !== 0 && failed === 0) failed = 1;
  writeFileSync(`${process.env.E2E_WORK}/summary`, `${passed} passed, ${failed} failed\n`);
  process.exitCode = failed > 0 ? 1 : 0;
});
process.on('SIGTERM', () => process.exit(1));
