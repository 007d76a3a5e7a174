// Runs checks one after the other, prints a line for each, and sets the exit status.

export async function runChecks(groups, chosen = '') {
  let passed = 0;
  let failed = 0;
  for (const group of groups) {
    for (const [name, check] of Object.entries(group).filter(([name]) => name.includes(chosen))) {
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
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
