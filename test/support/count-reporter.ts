import type { Reporter, TestModule } from 'vitest/node';

/** Ends the run with one line that counts the tests. A file that does not load counts as a failure. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const module of modules) {
      const results = [...module.children.allTests()].map((test) => test.result().state);
      for (const state of results) if (state !== 'pending') count[state] += 1;
      if (module.state() === 'failed' && !results.includes('failed')) count.failed += 1;
    }
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
    // After the last output of the other reporters.
    process.once('exit', () => process.stdout.write(`${count.passed} passed, ${count.failed} failed${skipped}\n`));
  }
}
