import { waitAtMost } from '../async/wait-at-most.ts';
import { createKnownNetworks } from '../limits/known-networks.ts';
import { createLimiter } from '../limits/limiter.ts';
import { createRedisFallback } from '../limits/redis-fallback.ts';
import { connectRedis, failFast } from '../redis/connect-redis.ts';
import type { Base } from './base.ts';

const LIMIT_TIMEOUT_MS = 1_000;

/** Rate limits and known networks in Redis, or in this process while Redis does not answer. */
export async function connectLimits({ config, warnRarely, metrics, now }: Base, started: AsyncDisposableStack) {
  const limitRedisOptions = { connectionName: 'latchkey-limits', ...failFast(LIMIT_TIMEOUT_MS) };
  const redis = connectRedis(config.redisUrl, limitRedisOptions, warnRarely('Redis (limits)'));
  started.defer(() => redis.disconnect());
  // Without this wait, the first calls would be counted in this process.
  await waitAtMost(LIMIT_TIMEOUT_MS, new Promise((resolve) => redis.once('ready', resolve)));
  const fallback = createRedisFallback(warnRarely('Redis does not answer: limits are counted in this process'));
  const limiter = createLimiter({ redis, fallback, limits: config.limits, onTaken: metrics.limitTaken });
  const knownNetworks = createKnownNetworks({ redis, fallback, now });
  return { redis, limiter, knownNetworks };
}
