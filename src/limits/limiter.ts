// Counts attempts. In Redis while it answers; while it does not, in this process, by half the points, which is stricter
// for one process and still closed. Keys hold no email and no secret.
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Limit, LimitName } from './limits.ts';

type Count = {
  allowed: boolean;
  retryAfterMs: number;
  /** Whether this is the first attempt over the limit in this window. */
  isFirstRefusal: boolean;
};

export type Taken = Count & {
  /** Takes the attempt back, where it was counted. One that cannot be taken back now runs out with its window. */
  giveBack(): Promise<void>;
};

export type Limiter = {
  /** Counts one attempt, atomically, and tells whether it may go on. Never throws for a missing Redis. */
  take(name: LimitName, key: string): Promise<Taken>;
  /** Whether any attempt is counted now. */
  isCounted(name: LimitName, key: string): Promise<boolean>;
  /** Forgets all that was counted. Returns whether anything was. */
  clear(name: LimitName, key: string): Promise<boolean>;
  /** Remembers for 30 days that an account signed in from a network. */
  rememberPlace(account: string, network: string): Promise<void>;
  knowsPlace(account: string, network: string): Promise<boolean>;
  /** Of an account that is gone, so that the next holder of its address begins without. */
  forgetPlaces(account: string): Promise<void>;
};

const PREFIX = 'latchkey:limit';
const PLACE_PREFIX = 'latchkey:place';
const PLACE_TTL_SECONDS = 30 * 24 * 3600;
/** Of one account. */
const MAX_PLACES = 100;
/** Bounds the memory of the fallback; keys that share a bucket share a limit. */
const FALLBACK_BUCKETS = 65_536;
/** After a failure Redis is left alone for this long, so that a hanging one delays one call and not each. */
const PAUSE_MS = 5_000;

/** Not of a window that is over: that would be credit for the next one. */
const GIVE_BACK = `if tonumber(redis.call('get', KEYS[1]) or 0) > 0 then return redis.call('decr', KEYS[1]) end`;

type Pair = { shared: RateLimiterRedis; fallback: RateLimiterMemory };

export type LimiterOptions = {
  /** Hears of calls that Redis did not answer. */
  onFallback: (error: unknown) => void;
  /** Hears of each attempt; `process` is where it was counted while Redis is away. */
  onTaken?: (name: LimitName, outcome: 'allowed' | 'refused', store: 'redis' | 'process') => void;
};

export function createLimiter(
  redis: Redis,
  limits: Record<LimitName, Limit>,
  { onFallback, onTaken }: LimiterOptions,
): Limiter {
  const pairs = new Map<string, Pair>(
    Object.entries(limits).map(([name, { points, windowSeconds }]) => {
      const options = { keyPrefix: `${PREFIX}:${name}`, duration: windowSeconds };
      const shared = new RateLimiterRedis({ ...options, points, storeClient: redis, rejectIfRedisNotReady: true });
      const fallback = new RateLimiterMemory({ ...options, points: Math.max(1, Math.floor(points / 2)) });
      return [name, { shared, fallback }];
    }),
  );

  let pauseUntil = 0;

  async function viaRedis<T>(call: () => Promise<T>, otherwise: () => T | Promise<T>): Promise<T> {
    if (performance.now() < pauseUntil) return otherwise();
    try {
      return await call();
    } catch (error) {
      pauseUntil = performance.now() + PAUSE_MS;
      onFallback(error);
      return otherwise();
    }
  }

  return {
    async take(name, key) {
      const { shared, fallback } = pairs.get(name) as Pair;
      return viaRedis(
        async () => {
          const taken = await consume(shared, key);
          onTaken?.(name, taken.allowed ? 'allowed' : 'refused', 'redis');
          return {
            ...taken,
            giveBack: async () => void (await redis.eval(GIVE_BACK, 1, shared.getKey(key)).catch(() => {})),
          };
        },
        async () => {
          const taken = await consume(fallback, bucketOf(key));
          onTaken?.(name, taken.allowed ? 'allowed' : 'refused', 'process');
          return { ...taken, giveBack: async () => void (await fallback.reward(bucketOf(key))) };
        },
      );
    },

    async isCounted(name, key) {
      const { shared, fallback } = pairs.get(name) as Pair;
      const count = await viaRedis(
        () => shared.get(key),
        () => fallback.get(bucketOf(key)),
      );
      return count !== null;
    },

    async clear(name, key) {
      const { shared, fallback } = pairs.get(name) as Pair;
      return viaRedis(
        () => shared.delete(key),
        () => fallback.delete(bucketOf(key)),
      );
    },

    async rememberPlace(account, network) {
      const [key, now] = [`${PLACE_PREFIX}:${account}`, secondsNow()];
      await viaRedis(
        () =>
          redis
            .multi()
            .zadd(key, now, network)
            .zremrangebyscore(key, '-inf', now - PLACE_TTL_SECONDS)
            .zremrangebyrank(key, 0, -MAX_PLACES - 1)
            .expire(key, PLACE_TTL_SECONDS)
            .exec(),
        () => null,
      );
    },

    async knowsPlace(account, network) {
      return viaRedis(
        async () => {
          const since = await redis.zscore(`${PLACE_PREFIX}:${account}`, network);
          return since !== null && Number(since) > secondsNow() - PLACE_TTL_SECONDS;
        },
        () => false,
      );
    },

    async forgetPlaces(account) {
      await viaRedis(
        () => redis.del(`${PLACE_PREFIX}:${account}`),
        () => 0,
      );
    },
  };
}

/** The library rejects with the count when the limit is passed, and with an error when its store fails. */
async function consume(counter: RateLimiterRedis | RateLimiterMemory, key: string): Promise<Count> {
  try {
    await counter.consume(key);
    return { allowed: true, retryAfterMs: 0, isFirstRefusal: false };
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal;
    const isFirstRefusal = refusal.consumedPoints === counter.points + 1;
    return { allowed: false, retryAfterMs: refusal.msBeforeNext, isFirstRefusal };
  }
}

function secondsNow(): number {
  return Math.floor(Date.now() / 1000);
}

function bucketOf(key: string): string {
  return String(createHash('sha256').update(key).digest().readUInt32BE() % FALLBACK_BUCKETS);
}
