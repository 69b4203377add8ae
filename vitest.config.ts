import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/count-reporter.ts'],
    pool: 'forks',
    // One more than two cores: half of the time a test waits for a server, a timeout or a process that starts.
    maxWorkers: 3,
    projects: [
      {
        // Tests of pure code, which take seconds together. They share processes and must leave no global state behind.
        test: {
          name: 'unit',
          isolate: false,
          include: ['test/**/*.unit.test.ts'],
          setupFiles: 'test/support/forbid-connections.ts',
          testTimeout: 30_000,
        },
      },
      {
        // All other tests, with one real Postgres and one real Redis.
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.unit.test.ts'],
          globalSetup: 'test/support/global-setup.ts',
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
