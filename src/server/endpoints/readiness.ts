import type { Readiness } from './jwks-and-probes.ts';

export type ReadinessDeps = {
  /** Resolves with a sentence for each problem; does not throw. */
  databaseProblems: () => Promise<string[]>;
  /** A signing key that cannot be decrypted. */
  keyProblem: () => { error: Error; mayHaveSigned: boolean } | null;
  /** Resolves with a sentence for each restriction of Redis; does not throw. */
  redisProblems: () => Promise<string[]>;
  /** How far the machine's clock is ahead of Postgres's. */
  clockAheadMs: () => number;
};

const SHARED_FOR_MS = 1_000;
/** Certificates and logs still go by the machine's clock. */
const MAX_CLOCK_DIFFERENCE_MS = 60_000;

/**
 * Ready when Postgres can be written to and has the schema of this release, every key that has signed can be decrypted, and
 * the clock is right; until the stop. Probes within a second share one look. A Redis that is unavailable makes limits
 * stricter and mail late, but no call fails for it, so it makes the service degraded and no more.
 */
export function createReadiness({ databaseProblems, keyProblem, clockAheadMs, redisProblems }: ReadinessDeps): {
  check: Readiness;
  stop(): void;
} {
  let stopping = false;
  let look: Promise<string[]> = Promise.resolve([]);
  let degraded: Promise<string[]> = Promise.resolve([]);
  let lookedAt = Number.NEGATIVE_INFINITY;
  return {
    async check() {
      if (stopping) return { ready: false, problems: ['stopping'], degraded: [] };
      if (performance.now() - lookedAt > SHARED_FOR_MS) {
        lookedAt = performance.now();
        look = databaseProblems();
        degraded = redisProblems();
      }
      const keys = keyProblem();
      const problems = [
        ...(await look),
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
