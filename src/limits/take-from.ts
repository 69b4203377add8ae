import { networksOf } from '../domain/networks.ts';
import type { Counter } from './counters.ts';
import type { LimitName } from './limits.ts';

export type TakeResult = {
  allowed: boolean;
  retryAfterMs: number;
  /** Whether this is the first attempt of the window beyond the limit. */
  isFirstRejection: boolean;
  /** Returns the point of the attempt. If the counter cannot be reached, the point expires with its window. */
  giveBack(): Promise<void>;
};

/** A bucket has the points of its limit times the factor. */
type Bucket = { key: string; factor: number };

/** The share of a bucket that remains while a budget is exceeded. */
const TIGHTENED = 1 / 4;

/** A limit by network has a bucket for each network of an address. Wider networks have more points: more people share them. */
export function bucketsOf(name: LimitName, key: string): Bucket[] {
  if (!name.endsWith('_NETWORK')) return [{ key, factor: 1 }];
  return networksOf(key).map((network, tier, { length }) => ({
    key: network,
    factor: tier === 0 ? 1 : tier === length - 1 ? 3 / 2 : 5 / 4,
  }));
}

/** Counts an attempt in each bucket, or in none of them when one is full. */
export async function takeFrom(counter: Counter, buckets: Bucket[], tightenedForMs: number): Promise<TakeResult> {
  const counted: string[] = [];
  const giveBack = async () => void (await Promise.all(counted.map((key) => counter.takeBack(key))));
  for (const { key, factor } of buckets) {
    const full = counter.capacity(factor);
    const capacity = tightenedForMs > 0 ? Math.ceil(full * TIGHTENED) : full;
    const { count, msLeft } = await counter.add(key);
    if (count <= full) counted.push(key);
    if (count <= capacity) continue;
    // A rejection that only the budget causes takes no point: after the budget's window the bucket has all its own points.
    await giveBack();
    const retryAfterMs = count <= full ? Math.min(tightenedForMs, msLeft) : msLeft;
    return { allowed: false, retryAfterMs, isFirstRejection: count === full + 1, giveBack: async () => {} };
  }
  return { allowed: true, retryAfterMs: 0, isFirstRejection: false, giveBack };
}
