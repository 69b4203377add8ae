import { expect, test } from 'vitest';
import { growthOf } from './growth.ts';

test('the growth is the slope of the line of least squares, times the time', () => {
  const values = [100, 103, 102, 105];
  const samples = values.map((value, n) => ({ seconds: 10 * n, value }));
  expect(growthOf(samples)).toBeCloseTo(4.2);
});

test('values that go up and down by the same do not grow', () => {
  const samples = [5, 9, 9, 5].map((value, n) => ({ seconds: n, value }));
  expect(growthOf(samples)).toBeCloseTo(0);
});

test('samples of one time have no growth', () => {
  expect(() => growthOf([{ seconds: 1, value: 1 }])).toThrow('samples of two times');
});
