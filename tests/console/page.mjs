// The console, as an operator uses it. An argument chooses the checks whose names hold it.

import { checks } from './checks.mjs';
import { checks as deployment } from './deployment.mjs';
import { invitations } from './invitations.mjs';
import { people } from './people.mjs';
import { runChecks } from './run-checks.mjs';
import { signInChecks } from './sign-in.mjs';
import { browser } from './stage.mjs';

try {
  await runChecks([checks, people, invitations, deployment, signInChecks], process.argv[2]);
} finally {
  await browser.close();
}
