import { defineConfig } from 'vitest/config';

/**
 * Outages, planted faults, killed processes, clients in other languages and whole matrices: `npm run test:long`, which
 * CI runs each night. They take about as long as all others together.
 */
const LONG = [
  'test/admin/role-histories.test.ts',
  'test/chaos/chaos.test.ts',
  'test/chaos/self-test.test.ts',
  'test/client/several-servers.test.ts',
  'test/clients/clients.test.ts',
  'test/dev/ends-with-npm.test.ts',
  'test/gateways/hostile.test.ts',
  'test/gateways/outages.test.ts',
  'test/gateways/rolling-restart.test.ts',
  'test/jobs/probes.test.ts',
  'test/jobs/slow-smtp.test.ts',
  'test/keys/rotation-under-load.test.ts',
  'test/matrix/libraries.test.ts',
  'test/redis/failover.test.ts',
  'test/redis/full.test.ts',
  'test/redis/silence.test.ts',
  'test/server/errors.test.ts',
  'test/server/malformed.test.ts',
  'test/server/outages.test.ts',
  'test/store/failover.test.ts',
];

/** Parts of `npm run test:long` that compare durations, so nothing else runs beside them. */
const MEASURING = ['test/passwords/hash-kinds.test.ts', 'test/server/cost-of-strangers.test.ts'];

/** These files mostly wait for time-outs and mail, so more of them fit on the cores at once. */
const WAITING = [
  'test/auth/email-verification.test.ts',
  'test/auth/oauth.test.ts',
  'test/grpc/health.test.ts',
  'test/keys/signing-keys.test.ts',
  'test/keys/unknown-keys.test.ts',
  'test/revocation-feed/watch.test.ts',
  'test/server/http1-time-limits.test.ts',
  'test/server/transport-limits.test.ts',
];

/** One more than two cores: half of the time a test waits for a server, a timeout or a process that starts. */
const MAX_WORKERS = 3;
const UNIT = 'test/**/*.unit.test.ts';
/**
 * One real Postgres and one real Redis for each project. Files share processes, because loading the service again takes
 * two seconds of CPU: a test must leave no global state behind.
 */
const SERVERS = { globalSetup: 'test/support/global-setup.ts', testTimeout: 30_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    reporters: ['default', './test/support/count-reporter.ts'],
    pool: 'forks',
    projects: [
      {
        // Tests of pure code, which take seconds together.
        test: {
          name: 'unit',
          isolate: false,
          include: [UNIT],
          setupFiles: 'test/support/forbid-connections.ts',
          testTimeout: 30_000,
          maxWorkers: MAX_WORKERS,
        },
      },
      {
        test: {
          ...SERVERS,
          name: 'integration',
          include: ['test/**/*.test.ts'],
          isolate: false,
          exclude: [UNIT, ...WAITING, ...LONG, ...MEASURING],
          maxWorkers: MAX_WORKERS,
        },
      },
      {
        test: {
          ...SERVERS,
          name: 'waiting',
          isolate: false,
          include: WAITING,
          maxWorkers: 6,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { ...SERVERS, name: 'long', include: LONG, maxWorkers: MAX_WORKERS },
      },
      {
        test: { ...SERVERS, name: 'measuring', include: MEASURING, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
