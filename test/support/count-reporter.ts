import type { Reporter, TestCase, TestModule } from 'vitest/node';

/**
 * Ends the run with one line that counts the tests. A file that does not load counts as a failure. Tests that passed at
 * the second attempt are named above it: each of them is a fault to find.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    const repeated: string[] = [];
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      const results = tests.map((test) => test.result().state);
      for (const state of results) if (state !== 'pending') count[state] += 1;
      if (module.state() === 'failed' && !results.includes('failed')) count.failed += 1;
      repeated.push(...tests.filter(passedLate).map((test) => `${module.relativeModuleId} > ${test.fullName}`));
    }
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
    const names = repeated.map((name) => `passed at the second attempt: ${name}\n`).join('');
    // After the last output of the other reporters.
    process.once('exit', () =>
      process.stdout.write(`${names}${count.passed} passed, ${count.failed} failed${skipped}\n`),
    );
  }
}

function passedLate(test: TestCase): boolean {
  return test.result().state === 'passed' && (test.diagnostic()?.retryCount ?? 0) > 0;
}
