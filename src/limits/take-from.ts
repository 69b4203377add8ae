import { networksOf } from '../domain/networks.ts';
import type { Counter } from './counters.ts';
import type { LimitName } from './limits.ts';

export type Taken = {
  allowed: boolean;
  retryAfterMs: number;
  /** Whether this is the first attempt over the limit in this window. */
  isFirstRefusal: boolean;
  /** Takes the attempt back, where it was counted. One that cannot be taken back now runs out with its window. */
  giveBack(): Promise<void>;
};

/** A bucket has its limit's points times the factor. */
type Bucket = { key: string; factor: number };

/** The part that an exceeded budget leaves of a bucket. */
const TIGHTENED = 1 / 4;

/** A limit by network has a bucket for each network of an address. Wider ones have more points: more people share them. */
export function bucketsOf(name: LimitName, key: string): Bucket[] {
  if (!name.endsWith('_NETWORK')) return [{ key, factor: 1 }];
  return networksOf(key).map((network, tier, { length }) => ({
    key: network,
    factor: tier === 0 ? 1 : tier === length - 1 ? 3 / 2 : 5 / 4,
  }));
}

/** Counts an attempt in each bucket, and in none when one of them is full. */
export async function takeFrom(counter: Counter, buckets: Bucket[], tightenedForMs: number): Promise<Taken> {
  const counted: string[] = [];
  const giveBack = async () => void (await Promise.all(counted.map((key) => counter.takeBack(key))));
  for (const { key, factor } of buckets) {
    const whole = counter.room(factor);
    const left = tightenedForMs > 0 ? Math.ceil(whole * TIGHTENED) : whole;
    const { count, msLeft } = await counter.add(key);
    // When only the budget is in the way, the bucket loses nothing: after the budget's window it has its own points.
    const isTightened = count > left && count <= whole;
    if (count <= left || isTightened) counted.push(key);
    if (count <= left) continue;
    await giveBack();
    const retryAfterMs = isTightened ? Math.min(tightenedForMs, msLeft) : msLeft;
    return { allowed: false, retryAfterMs, isFirstRefusal: count === whole + 1, giveBack: async () => {} };
  }
  return { allowed: true, retryAfterMs: 0, isFirstRefusal: false, giveBack };
}
