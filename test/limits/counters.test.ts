import { expect, test } from 'vitest';
import { processCounter } from '../../src/limits/counters.ts';

test('a process counts any number of keys in 65,536 buckets', async () => {
  const counter = processCounter({ points: 100, windowSeconds: 900 });
  for (let n = 0; n < 300_000; n += 1) await counter.add(`key ${n}`);
  // A key that was never counted has the count of the keys that share its bucket.
  const fresh = await Promise.all(Array.from({ length: 200 }, (_, n) => counter.read(`fresh key ${n}`)));
  expect(fresh.filter(({ count }) => count > 0).length).toBeGreaterThan(180);
  const mean = fresh.reduce((sum, { count }) => sum + count, 0) / fresh.length;
  expect(mean).toBeGreaterThan(3.5);
  expect(mean).toBeLessThan(6);
}, 60_000);
