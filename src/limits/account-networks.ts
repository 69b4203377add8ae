import type { Cluster, Redis } from 'ioredis';
import { KEY_PREFIX } from './limits.ts';

/** The networks from which attempts at an account are counted, so that its counts are found without reading all keys. */
export type AccountNetworks = {
  /** @param key as of LOGIN_PAIR. A failure leaves the count without an entry, and only `of` notices. */
  add(key: string, msLeft: number): Promise<void>;
  of(account: string): Promise<string[]>;
};

/** About 1 MB. The networks whose window ends first are left out. */
const MAX_NETWORKS = 10_000;

export function createAccountNetworks(redis: Redis | Cluster, now: () => Date): AccountNetworks {
  const keyOf = (account: string) => `${KEY_PREFIX}:LOGIN_PAIR/networks:${account}`;
  return {
    async add(pair, msLeft) {
      const split = pair.indexOf(':');
      const [key, network] = [keyOf(pair.slice(0, split)), pair.slice(split + 1)];
      const ms = now().getTime();
      await redis
        .multi()
        .zadd(key, ms + msLeft, network)
        .zremrangebyscore(key, '-inf', String(ms))
        .zremrangebyrank(key, 0, -MAX_NETWORKS - 1)
        .expire(key, Math.ceil(msLeft / 1000))
        .exec()
        .catch(() => {});
    },
    of: (account) => redis.zrange(keyOf(account), '0', '-1'),
  };
}
