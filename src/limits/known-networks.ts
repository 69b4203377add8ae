import type { Cluster, Redis } from 'ioredis';
import type { RedisFallback } from './redis-fallback.ts';

/** The networks that each account has signed in from in the last 30 days. None is known while Redis is unavailable. */
export type KnownNetworks = {
  remember(account: string, network: string): Promise<void>;
  isKnown(account: string, network: string): Promise<boolean>;
  /**
   * The next owner of a deleted account's address starts without any, and a thief can have signed in with an old
   * password.
   * @param allBut the network of the owner, or null to forget all
   */
  forget(account: string, options: { allBut: string | null }): Promise<void>;
};

const KEY_PREFIX = 'latchkey:place';
const TTL_SECONDS = 30 * 24 * 3600;
const MAX_NETWORKS_PER_ACCOUNT = 100;

const FORGET_OTHERS = `for _, network in ipairs(redis.call('zrange', KEYS[1], 0, -1)) do
  if network ~= ARGV[1] then redis.call('zrem', KEYS[1], network) end
end`;

export type KnownNetworksDeps = {
  redis: Redis | Cluster;
  fallback: RedisFallback;
  /** The clock that all processes share. */
  now: () => Date;
};

export function createKnownNetworks({ redis, fallback, now }: KnownNetworksDeps): KnownNetworks {
  const keyOf = (account: string) => `${KEY_PREFIX}:${account}`;
  const secondsNow = () => Math.floor(now().getTime() / 1000);

  return {
    async remember(account, network) {
      const [key, seconds] = [keyOf(account), secondsNow()];
      await fallback(
        () =>
          redis
            .multi()
            .zadd(key, seconds, network)
            .zremrangebyscore(key, '-inf', seconds - TTL_SECONDS)
            .zremrangebyrank(key, 0, -MAX_NETWORKS_PER_ACCOUNT - 1)
            .expire(key, TTL_SECONDS)
            .exec(),
        () => null,
      );
    },

    isKnown: (account, network) =>
      fallback(
        async () => {
          const since = await redis.zscore(keyOf(account), network);
          return since !== null && Number(since) > secondsNow() - TTL_SECONDS;
        },
        () => false,
      ),

    async forget(account, { allBut }) {
      const key = keyOf(account);
      await fallback<unknown>(
        () => (allBut === null ? redis.del(key) : redis.eval(FORGET_OTHERS, 1, key, allBut)),
        () => null,
      );
    },
  };
}
