// `npm run mutate`: Stryker changes the code below in small ways, and the unit tests must notice. One folder or file:
// `npm run mutate -- --mutate 'src/verifier/**/*.ts'`.
export default {
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  plugins: ['@stryker-mutator/vitest-runner', './test/support/ignore-error-texts.mjs'],
  ignorers: ['error-texts'],
  mutate: [
    'src/domain/**/*.ts',
    'src/verifier/**/*.ts',
    'src/limits/**/*.ts',
    // Each function of these two sends commands to Redis. test/limits tests them with a real one.
    '!src/limits/limiter.ts',
    '!src/limits/known-networks.ts',
  ],
  coverageAnalysis: 'perTest',
  // Code that runs once when a module loads: tables of texts, constants and patterns. Each such change would need all tests. Tests
  // pin the numbers that the documentation promises in their own digits (test/config/defaults, test/server/promised-limits).
  ignoreStatic: true,
  // The tests share two cores with everything else on the machine.
  concurrency: 2,
  timeoutMS: 20_000,
  incremental: true,
  incrementalFile: '.latchkey/mutation/incremental.json',
  tempDirName: '.latchkey/mutation/sandbox',
  // No file of this name exists: Stryker would read a tsconfig.json with an interface that TypeScript 7 does not have.
  tsconfigFile: 'none',
  ignorePatterns: ['.latchkey', 'deploy', 'dist', 'docs', 'examples', 'test/bench', 'test/chaos'],
  reporters: ['clear-text', 'progress-append-only'],
  clearTextReporter: { allowColor: false, reportTests: false },
  thresholds: { high: 90, low: 85, break: 85 },
};
