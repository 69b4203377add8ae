// Counts in windows that begin with the first attempt. Counters decide nothing.
import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible';
import type { Counted, CountInRedis } from './count-in-redis.ts';
import { KEY_PREFIX, type Limit, pointsWithoutRedis } from './limits.ts';

type OnCount = (key: string, msLeft: number) => Promise<void>;

export type Counter = {
  store: 'redis' | 'process';
  /** The points of the limit times the factor, rounded up, at least one. */
  capacity(factor: number): number;
  add(key: string): Promise<Counted>;
  read(key: string): Promise<Counted>;
  takeBack(key: string): Promise<void>;
  /** Returns whether anything was counted. */
  clear(key: string): Promise<boolean>;
};

/** Bounds the memory of the fallback. Keys that share a bucket share a limit. */
const FALLBACK_BUCKETS = 65_536;
// The limiter compares, because the capacity of a key can change within a window.
const points = Number.MAX_SAFE_INTEGER;
const NOTHING: Counted = { count: 0, msLeft: 0 };

/** An attempt of a finished window must not become credit in the next one. */
const TAKE_BACK = `if tonumber(redis.call('get', KEYS[1]) or 0) > 0 then return redis.call('decr', KEYS[1]) end`;

// Stryker disable all: test/limits/limiter.test.ts tests this counter with a real Redis.
/** @param onCount receives each count of failed attempts up to the first rejection */
export function redisCounter(
  redis: Redis | Cluster,
  countInRedis: CountInRedis,
  { name, limit, onCount }: { name: string; limit: Limit; onCount: OnCount | null },
): Counter {
  const options = { keyPrefix: `${KEY_PREFIX}:${name}`, duration: limit.windowSeconds, points };
  const counter = new RateLimiterRedis({ ...options, storeClient: redis, rejectIfRedisNotReady: true });
  return {
    store: 'redis',
    capacity: (factor) => Math.ceil(limit.points * factor),
    add: async (key) => {
      const attempt = { key: counter.getKey(key), windowSeconds: limit.windowSeconds };
      const counted = assertNumbers(await countInRedis(attempt));
      // The first attempt of a window is a success in most cases, and is not worth a command.
      const isOfInterest = counted.count >= Math.min(2, limit.points) && counted.count <= limit.points + 1;
      if (onCount && isOfInterest) await onCount(key, counted.msLeft);
      return counted;
    },
    read: async (key) => toCounted(await counter.get(key)),
    takeBack: async (key) => void (await redis.eval(TAKE_BACK, 1, counter.getKey(key)).catch(() => {})),
    clear: (key) => counter.delete(key),
  };
}

// Stryker restore all
export function processCounter(limit: Limit): Counter {
  const counter = new RateLimiterMemory({ duration: limit.windowSeconds, points });
  const read = async (key: string) => toCounted(await counter.get(bucketOf(key)));
  return {
    store: 'process',
    capacity: (factor) => pointsWithoutRedis(Math.ceil(limit.points * factor)),
    add: async (key) => toCounted(await counter.consume(bucketOf(key))),
    read,
    takeBack: async (key) => {
      if ((await read(key)).count > 0) await counter.reward(bucketOf(key));
    },
    clear: (key) => counter.delete(bucketOf(key)),
  };
}

function toCounted(result: RateLimiterRes | null): Counted {
  if (!result) return NOTHING;
  return assertNumbers({ count: result.consumedPoints, msLeft: result.msBeforeNext });
}

function assertNumbers(counted: Counted): Counted {
  // A connection that breaks within a Redis transaction can return a result without numbers.
  // Stryker disable next-line ConditionalExpression,LogicalOperator,CallExpression: no test can break one at that moment.
  if (!Object.values(counted).every(Number.isFinite)) throw new Error('Redis has returned no count');
  return counted;
}

function bucketOf(key: string): string {
  return String(createHash('sha256').update(key).digest().readUInt32BE() % FALLBACK_BUCKETS);
}
