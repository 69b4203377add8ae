import { networksOf } from '../domain/networks.ts';
import type { Counter } from './counters.ts';
import { isByNetwork, type LimitName } from './limits.ts';

export type TakeResult = {
  allowed: boolean;
  retryAfterMs: number;
  isFirstRejection: boolean;
  /** Whether this attempt is the one that reaches three quarters of the first bucket. */
  isNearLimit: boolean;
  /** If the counter cannot be reached, the point expires with its window. */
  giveBack(): Promise<void>;
};

type Bucket = { key: string; factor: number };

/** The share of a bucket that remains while a budget is exceeded. */
const TIGHTENED = 1 / 4;
const NEAR = 3 / 4;

/** Wider networks have more points, because more people share them. */
export function bucketsOf(name: LimitName, key: string): Bucket[] {
  if (!isByNetwork(name)) return [{ key, factor: 1 }];
  return networksOf(key).map((network) => ({ key: network, factor: factorOf(network) }));
}

/** @param network as from networksOf */
export function factorOf(network: string): number {
  const length = /\/(\d+)$/.exec(network)?.[1];
  if (length === '24' || length === '48') return 3 / 2;
  return length === '56' ? 5 / 4 : 1;
}

/** Counts in none of the buckets when one is full. */
export async function takeFrom(counter: Counter, buckets: Bucket[], tightenedForMs: number): Promise<TakeResult> {
  const counted: string[] = [];
  let isNearLimit = false;
  const giveBack = async () => void (await Promise.all(counted.map((key) => counter.takeBack(key))));
  for (const { key, factor } of buckets) {
    const full = counter.capacity(factor);
    const capacity = tightenedForMs > 0 ? Math.ceil(full * TIGHTENED) : full;
    const { count, msLeft } = await counter.add(key);
    if (count <= full) counted.push(key);
    if (key === buckets[0]?.key) isNearLimit = count === Math.ceil(full * NEAR);
    if (count <= capacity) continue;
    // A rejection that only the budget causes takes no point, so that the bucket is complete after the budget's window.
    await giveBack();
    const retryAfterMs = count <= full ? Math.min(tightenedForMs, msLeft) : msLeft;
    return {
      allowed: false,
      retryAfterMs,
      isFirstRejection: count === full + 1,
      isNearLimit,
      giveBack: async () => {},
    };
  }
  return { allowed: true, retryAfterMs: 0, isFirstRejection: false, isNearLimit, giveBack };
}
