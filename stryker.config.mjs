// `npm run mutate`: Stryker changes the code below in small ways, and the unit tests must notice. One folder or file:
// `npm run mutate -- --mutate 'src/verifier/**/*.ts'`.
//
// Survivors that were judged, and change nothing that a caller can observe:
// - verifier/access-token.ts, the empty `catch`: its caller treats undefined like null.
// - domain/loopback.ts, '' in place of 'ipv6': node:net treats both alike.
// - domain/role-graph.ts, another name for the missing granter: no role has that name either.
// - domain/actor.ts, the test for an operator: subjectName writes the same text.
// - domain/email.ts: a text beyond 254 bytes fails later with the same message, and no text in place of '' is a host name.
// - domain/networks.ts: a zone has no line break, and only the first half of an IPv6 address is used.
// - domain/key-schedule.ts, `if (true)` for `if (standby)`: the test file fails while it loads, which Stryker does not count.
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
    // Tables of texts. Integration tests compare them with the contract and with the generated reference.
    '!src/domain/audit-event-types.ts',
    '!src/domain/error-reason.ts',
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
