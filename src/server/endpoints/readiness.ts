import type { Readiness } from './probes.ts';

export type ReadinessDeps = {
  /** Resolves with a sentence for each problem; does not throw. */
  databaseProblems: () => Promise<string[]>;
  keyProblem: () => { error: Error; mayHaveSigned: boolean } | null;
  redisProblems: () => Promise<string[]>;
  /** Compared with the clock of Postgres. */
  clockAheadMs: () => number;
};

const SHARED_FOR_MS = 1_000;
/** Certificates and logs use the machine's clock. */
const MAX_CLOCK_DIFFERENCE_MS = 60_000;

/**
 * Probes within a second share one check. Without Redis, limits are stricter and mail is late, but no call fails, so
 * the service is only degraded.
 */
export function createReadiness({ databaseProblems, keyProblem, clockAheadMs, redisProblems }: ReadinessDeps): {
  check: Readiness;
  stop(): void;
} {
  let stopping = false;
  let database: Promise<string[]> = Promise.resolve([]);
  let degraded: Promise<string[]> = Promise.resolve([]);
  let checkedAt = Number.NEGATIVE_INFINITY;
  return {
    async check() {
      if (stopping) return { ready: false, problems: ['stopping'], degraded: [] };
      if (performance.now() - checkedAt > SHARED_FOR_MS) {
        checkedAt = performance.now();
        database = databaseProblems();
        degraded = redisProblems();
      }
      const keys = keyProblem();
      const problems = [
        ...(await database),
        ...(keys?.mayHaveSigned ? [keys.error.message] : []),
        ...clockProblems(clockAheadMs()),
      ];
      return { ready: problems.length === 0, problems, degraded: await degraded };
    },
    stop() {
      stopping = true;
    },
  };
}

function clockProblems(aheadMs: number): string[] {
  if (Math.abs(aheadMs) <= MAX_CLOCK_DIFFERENCE_MS) return [];
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return [`the clock of this machine is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} Postgres's`];
}
