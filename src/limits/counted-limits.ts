// Reads and clears counts for operators and administrators. Without Redis it fails, because an answer from the memory
// of one process would be wrong.
import { Cluster, type Redis } from 'ioredis';
import { inTime } from '../async/in-time.ts';
import type { AccountNetworks } from './account-networks.ts';
import {
  bucketsOfAccount,
  bucketsOfNetwork,
  budgetBuckets,
  type CountedAccount,
  type LimitBucket,
} from './limit-buckets.ts';
import { KEY_PREFIX, type Limit, type LimitName } from './limits.ts';
import { LimitsUnavailable } from './limits-unavailable.ts';
import { topBuckets } from './top-buckets.ts';

export type CountedLimit = LimitBucket & {
  count: number;
  /** When the window ends. */
  until: Date;
  /** Whether the next attempt is rejected. */
  isReached: boolean;
};

type TopLimits = { limits: CountedLimit[]; examined: number; isComplete: boolean };

export type CountedLimits = {
  /** Those with a count, in the order of the table. @throws LimitsUnavailable */
  ofAccount(account: CountedAccount): Promise<CountedLimit[]>;
  /** @throws LimitsUnavailable */
  ofNetwork(address: string): Promise<CountedLimit[]>;
  /** @throws LimitsUnavailable */
  budgets(): Promise<CountedLimit[]>;
  /** Those with the highest share of their maximum. @throws LimitsUnavailable */
  top(atMost: number, maxExamined: number): Promise<TopLimits>;
  /** @throws LimitsUnavailable */
  clear(counted: CountedLimit[]): Promise<void>;
};

export type CountedLimitsDeps = {
  redis: Redis | Cluster;
  limits: Record<LimitName, Limit>;
  accountNetworks: AccountNetworks;
  /** For all commands of an answer together; `top` has no limit. */
  timeoutMs: number;
  /** The clock that all processes share. */
  now: () => Date;
};

/** One script, so that a key cannot expire between its value and its time. */
const READ = "return {redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1])}";

export function createCountedLimits({
  redis,
  limits,
  accountNetworks,
  timeoutMs,
  now,
}: CountedLimitsDeps): CountedLimits {
  async function read(bucket: LimitBucket): Promise<CountedLimit[]> {
    const [text, msLeft] = (await redis.eval(READ, 1, redisKey(bucket))) as [string | null, number];
    const count = Number(text);
    if (!(count > 0) || msLeft < 0) return [];
    return [{ ...bucket, count, until: new Date(now().getTime() + msLeft), isReached: count >= bucket.maximum }];
  }
  const answer = <T>(work: () => Promise<T>) => orUnavailable(() => inTime(timeoutMs, work));
  const readAll = async (buckets: LimitBucket[]) => (await Promise.all(buckets.map(read))).flat();

  return {
    ofAccount: (account) =>
      answer(async () => {
        const networks = await Promise.all(account.accounts.map((hash) => accountNetworks.of(hash)));
        return readAll(bucketsOfAccount(limits, account, networks));
      }),
    ofNetwork: (address) => answer(() => readAll(bucketsOfNetwork(limits, address))),
    budgets: () => answer(() => readAll(budgetBuckets(limits))),
    top: (atMost, maxExamined) =>
      orUnavailable(async () => {
        const servers = redis instanceof Cluster ? redis.nodes('master') : [redis];
        const { buckets, ...rest } = await topBuckets({ servers, limits, atMost, maxExamined });
        return { ...rest, limits: await readAll(buckets) };
      }),
    clear: (counted) =>
      answer(async () => {
        await Promise.all(counted.map((bucket) => redis.del(redisKey(bucket))));
      }),
  };
}

function redisKey({ limit, key }: LimitBucket): string {
  return `${KEY_PREFIX}:${limit}:${key}`;
}

async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new LimitsUnavailable(error);
  }
}
