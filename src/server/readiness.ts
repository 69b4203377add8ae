import { isDatabaseOutage } from '../store/outage.ts';
import { NotPrimaryError } from '../store/primary-guard.ts';
import type { Readiness } from './plain-http.ts';

const SHARED_FOR_MS = 1_000;

/**
 * Ready when Postgres answers with a schema as new as this release and every key that signs opens, and until the stop. A Redis that is away makes limits
 * stricter and mail late, but no call fails for it, so it does not count. Probes within a second share one look.
 */
export function createReadiness(
  schemaProblem: () => Promise<string | null>,
  keyProblem: () => { error: Error; isBlind: boolean } | null,
): { check: Readiness; stop(): void } {
  let stopping = false;
  let look: Promise<string | null> = Promise.resolve(null);
  let lookedAt = Number.NEGATIVE_INFINITY;
  return {
    async check() {
      if (stopping) return { ready: false, problems: ['stopping'] };
      if (performance.now() - lookedAt > SHARED_FOR_MS) {
        lookedAt = performance.now();
        look = databaseProblem(schemaProblem);
      }
      const keys = keyProblem();
      const problems = [await look, keys?.isBlind ? keys.error.message : null].filter((problem) => problem !== null);
      return { ready: problems.length === 0, problems };
    },
    stop() {
      stopping = true;
    },
  };
}

async function databaseProblem(schemaProblem: () => Promise<string | null>): Promise<string | null> {
  try {
    return await schemaProblem();
  } catch (error) {
    if (error instanceof NotPrimaryError) return error.message;
    return isDatabaseOutage(error) ? 'Postgres does not answer' : 'Postgres refuses';
  }
}
