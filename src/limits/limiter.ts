// Counts attempts. In Redis while it answers; while it does not, in this process, by half the points, which is stricter
// for one process and still closed. Keys hold no email and no secret.
import type { Cluster, Redis } from 'ioredis';
import { type Counter, processCounter, redisCounter } from './counters.ts';
import { isBudget, type Limit, type LimitName } from './limits.ts';
import { bucketsOf, type Taken, takeFrom } from './take-from.ts';

type Outcome = 'allowed' | 'refused' | 'exceeded';

export type Limiter = {
  /**
   * Counts one attempt, atomically in each bucket, and returns whether it may go on. Never throws for a missing Redis.
   * @param key of a limit by network: the client's address, each network of which is counted
   * @param tightenedForMs for how long yet a budget is exceeded, which leaves a quarter of the points; 0 leaves them all
   */
  take(name: LimitName, key: string, tightenedForMs?: number): Promise<Taken>;
  /** For how many milliseconds yet a budget is exceeded; 0 when it is not. */
  exceededForMs(name: LimitName, key: string): Promise<number>;
  /** Whether any attempt is counted now. */
  isCounted(name: LimitName, key: string): Promise<boolean>;
  /** Forgets all that was counted. Returns whether anything was. */
  clear(name: LimitName, key: string): Promise<boolean>;
  /** Remembers for 30 days that an account signed in from a network. */
  rememberPlace(account: string, network: string): Promise<void>;
  knowsPlace(account: string, network: string): Promise<boolean>;
  /**
   * Forgets the known networks of an account: of one that is deleted, so that the next holder of its address begins without, or of
   * one whose password has changed, because a thief may have signed in with the old one.
   * @param allBut the network of the owner; null for none
   */
  forgetNetworks(account: string, of: { allBut: string | null }): Promise<void>;
};

const PLACE_PREFIX = 'latchkey:place';
const PLACE_TTL_SECONDS = 30 * 24 * 3600;
/** Of one account. */
const MAX_PLACES = 100;
/** After a failure Redis is left alone for this long, so that a hanging one delays one call and not each. */
const PAUSE_MS = 5_000;

const FORGET_OTHERS = `for _, network in ipairs(redis.call('zrange', KEYS[1], 0, -1)) do
  if network ~= ARGV[1] then redis.call('zrem', KEYS[1], network) end
end`;

export type LimiterOptions = {
  /** Hears of calls that Redis did not answer. */
  onFallback: (error: unknown) => void;
  /** Receives each attempt; `process` is where it was counted while Redis does not answer. */
  onTaken?: (name: LimitName, outcome: Outcome, store: Counter['store']) => void;
  /** By the clock that all processes share. */
  now?: () => Date;
};

export function createLimiter(
  redis: Redis | Cluster,
  limits: Record<LimitName, Limit>,
  { onFallback, onTaken, now = () => new Date() }: LimiterOptions,
): Limiter {
  const secondsNow = () => Math.floor(now().getTime() / 1000);
  const counters = new Map(
    Object.entries(limits).map(([name, limit]) => [
      name,
      { shared: redisCounter(redis, name, limit), own: processCounter(name, limit) },
    ]),
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

  function viaCounter<T>(name: LimitName, use: (counter: Counter) => Promise<T>): Promise<T> {
    const { shared, own } = counters.get(name) as { shared: Counter; own: Counter };
    return viaRedis(
      () => use(shared),
      () => use(own),
    );
  }

  return {
    take: (name, key, tightenedForMs = 0) =>
      viaCounter(name, async (counter) => {
        const taken = await takeFrom(counter, bucketsOf(name, key), tightenedForMs);
        const refusal = isBudget(name) ? 'exceeded' : 'refused';
        onTaken?.(name, taken.allowed ? 'allowed' : refusal, counter.store);
        return taken;
      }),

    exceededForMs: (name, key) =>
      viaCounter(name, async (counter) => {
        const { count, msLeft } = await counter.read(key);
        return count > counter.room(1) ? msLeft : 0;
      }),

    isCounted: (name, key) => viaCounter(name, async (counter) => (await counter.read(key)).count > 0),

    clear: (name, key) => viaCounter(name, (counter) => counter.clear(key)),

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

    async forgetNetworks(account, { allBut }) {
      const key = `${PLACE_PREFIX}:${account}`;
      await viaRedis<unknown>(
        () => (allBut === null ? redis.del(key) : redis.eval(FORGET_OTHERS, 1, key, allBut)),
        () => null,
      );
    },
  };
}
