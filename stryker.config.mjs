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
    // The other files of this folder need Redis.
    'src/limits/take-from.ts',
    'src/limits/counters.ts',
    'src/limits/session-users.ts',
    // Tables of texts.
    '!src/domain/audit-event-types.ts',
    '!src/domain/error-reason.ts',
  ],
  coverageAnalysis: 'perTest',
  // Code that runs once when a module loads. Each such change would need all tests.
  ignoreStatic: true,
  // The tests share two cores with everything else on the machine.
  concurrency: 2,
  timeoutMS: 60_000,
  incremental: true,
  incrementalFile: '.latchkey/mutation/incremental.json',
  tempDirName: '.latchkey/mutation/sandbox',
  // No file of this name exists: Stryker would read a tsconfig.json with an interface that TypeScript 7 does not have.
  tsconfigFile: 'none',
  ignorePatterns: ['.latchkey', 'deploy', 'dist', 'docs', 'examples', 'test/bench', 'test/chaos'],
  reporters: ['clear-text', 'progress-append-only'],
  clearTextReporter: { allowColor: false, logTests: false },
  thresholds: { high: 90, low: 85, break: 85 },
};
