// The connection to Redis of the commands that read and clear counts.
import { waitAtMost } from '../async/wait-at-most.ts';
import type { LimitAccess } from '../config/config.ts';
import type { Deps } from '../deps.ts';
import { derivePurposeKeys } from '../keys/purpose-keys.ts';
import { createAccountNetworks } from '../limits/account-networks.ts';
import { createCountedLimits } from '../limits/counted-limits.ts';
import { LimitsUnavailable } from '../limits/limits-unavailable.ts';
import { connectRedis, failFast } from '../redis/connect-redis.ts';

export type LimitDesk = Pick<Deps, 'countedLimits' | 'purposeKeys'> & AsyncDisposable;

const TIMEOUT_MS = 5_000;

/** @throws LimitsUnavailable */
export async function openLimitDesk(
  { redisUrl, limits, masterKeys }: LimitAccess,
  now: () => Date,
): Promise<LimitDesk> {
  let cause: Error | null = null;
  const redis = connectRedis(redisUrl, { connectionName: 'latchkey-cli', ...failFast(TIMEOUT_MS) }, (error) => {
    cause ??= error;
  });
  const [asyncDispose, isReady] = [async () => redis.disconnect(), () => redis.status === 'ready'];
  const settled = new Promise((resolve) => redis.once('ready', resolve).once('close', resolve));
  if (!isReady()) await waitAtMost(TIMEOUT_MS, settled);
  if (!isReady()) {
    redis.disconnect();
    throw new LimitsUnavailable(cause ?? new Error('no answer'));
  }
  const accountNetworks = createAccountNetworks(redis, now);
  return {
    countedLimits: createCountedLimits({ redis, limits, accountNetworks, timeoutMs: TIMEOUT_MS, now }),
    purposeKeys: derivePurposeKeys(masterKeys),
    [Symbol.asyncDispose]: asyncDispose,
  };
}
