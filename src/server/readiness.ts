import { isDatabaseOutage } from '../store/outage.ts';
import type { Readiness } from './plain-http.ts';

const SHARED_FOR_MS = 1_000;

/**
 * Ready when Postgres answers with a schema as new as this release and every key that signs opens, and until the stop. A Redis that is away makes limits
 * stricter and mail late, but no call fails for it, so it only makes the service degraded. Probes within a second share one look.
 */
export function createReadiness(
  isMigrated: () => Promise<boolean>,
  keyProblem: () => { error: Error; isBlind: boolean } | null,
  degradation: () => Promise<string[]>,
): { check: Readiness; stop(): void } {
  let stopping = false;
  let look: Promise<string | null> = Promise.resolve(null);
  let degraded: Promise<string[]> = Promise.resolve([]);
  let lookedAt = Number.NEGATIVE_INFINITY;
  return {
    async check() {
      if (stopping) return { ready: false, problems: ['stopping'], degraded: [] };
      if (performance.now() - lookedAt > SHARED_FOR_MS) {
        lookedAt = performance.now();
        look = databaseProblem(isMigrated);
        degraded = degradation();
      }
      const keys = keyProblem();
      const problems = [await look, keys?.isBlind ? keys.error.message : null].filter((problem) => problem !== null);
      return { ready: problems.length === 0, problems, degraded: await degraded };
    },
    stop() {
      stopping = true;
    },
  };
}

async function databaseProblem(isMigrated: () => Promise<boolean>): Promise<string | null> {
  try {
    return (await isMigrated()) ? null : 'migrations have not run';
  } catch (error) {
    return isDatabaseOutage(error) ? 'Postgres does not answer' : 'Postgres refuses';
  }
}
