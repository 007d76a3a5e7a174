// The console, as an operator uses it. An argument chooses the checks whose names hold it.

import { checks } from './checks.mjs';
import { browser } from './stage.mjs';

const chosen = process.argv[2] ?? '';
let passed = 0;
let failed = 0;
try {
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
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
