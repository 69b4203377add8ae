import { rateGate } from '../async/rate-gate.ts';
import { waitAtMost } from '../async/wait-at-most.ts';
import { createAccountNetworks } from '../limits/account-networks.ts';
import { createCountedLimits } from '../limits/counted-limits.ts';
import { createKnownNetworks } from '../limits/known-networks.ts';
import { createLimiter } from '../limits/limiter.ts';
import type { LimitName } from '../limits/limits.ts';
import { createRedisFallback } from '../limits/redis-fallback.ts';
import { connectRedis, failFast } from '../redis/connect-redis.ts';
import { databaseErrorType } from '../telemetry/database-error-type.ts';
import type { Base } from './base.ts';

export const REDIS_ANSWERS_MS = 1_000;
/** The end of a command whose caller has an answer already. */
const COMMAND_TIMEOUT_MS = 5_000;
/** Longer than the pause after a failure. Without sign-ins, no later use shows that Redis is up again. */
const FAILURE_COUNTS_MS = 10_000;
/** In a minute: many networks can attack at once. */
const MAX_NEAR_LIMIT_LINES = 10;
const NEAR_LIMIT =
  'one network has made most of the attempts that its limit allows: if it is a proxy, set TRUSTED_PROXIES; if it is a back end, send x-client-address with the address of the user';

/** Rate limits and known networks in Redis, or in this process while Redis does not answer. */
export async function connectLimits({ config, log, warnRarely, metrics, now }: Base, started: AsyncDisposableStack) {
  const limitRedisOptions = { connectionName: 'latchkey-limits', ...failFast(COMMAND_TIMEOUT_MS) };
  const redis = connectRedis(config.redisUrl, limitRedisOptions, warnRarely('Redis (limits)'));
  started.defer(() => redis.disconnect());
  // Without this wait, the first calls would be counted in this process.
  await waitAtMost(REDIS_ANSWERS_MS, new Promise((resolve) => redis.once('ready', resolve)));
  let failedAt = Number.NEGATIVE_INFINITY;
  const onUsed = (durationMs: number, error: unknown) => {
    failedAt = error === null ? Number.NEGATIVE_INFINITY : performance.now();
    metrics.databaseUsed('redis', durationMs, databaseErrorType(error));
  };
  metrics.watchDependency('redis', () => redis.status === 'ready' && performance.now() - failedAt > FAILURE_COUNTS_MS);
  const fallback = createRedisFallback({
    timeoutMs: REDIS_ANSWERS_MS,
    onFailure: warnRarely('Redis does not answer: limits are counted in this process'),
    onUsed,
  });
  const mayWarn = rateGate({ passes: MAX_NEAR_LIMIT_LINES, windowMs: 60_000 });
  const onNearLimit = (limit: LimitName, network: string) => {
    metrics.limitNear(limit);
    if (mayWarn()) log.warn({ limit, network }, NEAR_LIMIT);
  };
  const accountNetworks = createAccountNetworks(redis, now);
  const { limits } = config;
  const limiter = createLimiter({
    ...{ redis, fallback, limits, accountNetworks },
    onTaken: metrics.limitTaken,
    onNearLimit,
  });
  const countedLimits = createCountedLimits({ redis, limits, accountNetworks, timeoutMs: REDIS_ANSWERS_MS, now });
  const knownNetworks = createKnownNetworks({ redis, fallback, now });
  return { redis, limiter, knownNetworks, countedLimits };
}
