import { expect, test } from 'vitest';
import { backoffMs } from '../../src/async/backoff.ts';

test('the delay doubles with each failure in a row and stays at its maximum', () => {
  const delays = [0, 1, 2, 3, 4, 5_000].map((failures) => backoffMs({ firstMs: 100, maxMs: 1_000 }, failures));
  expect(delays).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});
