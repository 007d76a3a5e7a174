// The console, as an operator uses it. An argument chooses the checks whose names hold it.

import { checks } from './checks.mjs';
import { runChecks } from './run-checks.mjs';
import { browser } from './stage.mjs';

try {
  await runChecks([checks], process.argv[2]);
} finally {
  await browser.close();
}
