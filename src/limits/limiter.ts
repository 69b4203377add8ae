import type { Cluster, Redis } from 'ioredis';
import { networkOf } from '../domain/networks.ts';
import type { AccountNetworks } from './account-networks.ts';
import { createCountInRedis } from './count-in-redis.ts';
import { type Counter, processCounter, redisCounter } from './counters.ts';
import { isBudget, isByNetwork, type Limit, type LimitName } from './limits.ts';
import type { RedisFallback } from './redis-fallback.ts';
import { bucketsOf, type TakeResult, takeFrom } from './take-from.ts';

type Outcome = 'allowed' | 'rejected' | 'exceeded';

/** While Redis is unavailable, it counts in this process and allows half of the points. */
export type Limiter = {
  /**
   * Counts one attempt in each bucket, atomically.
   * @param key the client's address where the limit is by network: each network that contains it is counted
   * @param tightenedForMs how long a budget remains exceeded, which leaves a quarter of the points
   */
  take(name: LimitName, key: string, tightenedForMs?: number): Promise<TakeResult>;
  /** Milliseconds for which a budget remains exceeded. */
  exceededForMs(name: LimitName, key: string): Promise<number>;
  /** Returns whether any attempt was counted. */
  clear(name: LimitName, key: string): Promise<boolean>;
};

export type LimiterDeps = {
  redis: Redis | Cluster;
  fallback: RedisFallback;
  limits: Record<LimitName, Limit>;
  accountNetworks: AccountNetworks;
  /** The store is `process` for attempts that were counted without Redis. */
  onTaken?: (name: LimitName, outcome: Outcome, store: Counter['store']) => void;
  /** The network has used three quarters of a limit. Called once in a window, or again after points were given back. */
  onNearLimit?: (name: LimitName, network: string) => void;
};

export function createLimiter({
  redis,
  fallback,
  limits,
  accountNetworks,
  onTaken,
  onNearLimit,
}: LimiterDeps): Limiter {
  const countInRedis = createCountInRedis(redis);
  const counters = new Map(
    Object.entries(limits).map(([name, limit]) => [
      name,
      {
        shared: redisCounter(redis, countInRedis, {
          ...{ name, limit },
          onCount: name === 'LOGIN_PAIR' ? accountNetworks.add : null,
        }),
        own: processCounter(limit),
      },
    ]),
  );

  function withCounter<T>(name: LimitName, use: (counter: Counter) => Promise<T>): Promise<T> {
    const { shared, own } = counters.get(name) as { shared: Counter; own: Counter };
    return fallback(
      () => use(shared),
      () => use(own),
    );
  }

  return {
    take: (name, key, tightenedForMs = 0) =>
      withCounter(name, async (counter) => {
        const result = await takeFrom(counter, bucketsOf(name, key), tightenedForMs);
        const overLimit = isBudget(name) ? 'exceeded' : 'rejected';
        if (result.isNearLimit && isByNetwork(name)) onNearLimit?.(name, networkOf(key));
        onTaken?.(name, result.allowed ? 'allowed' : overLimit, counter.store);
        return result;
      }),

    exceededForMs: (name, key) =>
      withCounter(name, async (counter) => {
        const { count, msLeft } = await counter.read(key);
        return count > counter.capacity(1) ? msLeft : 0;
      }),

    clear: (name, key) => withCounter(name, (counter) => counter.clear(key)),
  };
}
