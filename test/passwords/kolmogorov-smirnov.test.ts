import { expect, test } from 'vitest';
import { kolmogorovSmirnov } from '../bench/kolmogorov-smirnov.ts';

const range = (n: number, from = 0) => Array.from({ length: n }, (_, k) => from + k);

test('the distance is the largest one between the two empirical distributions', () => {
  expect(kolmogorovSmirnov([1, 2, 3, 4], [1, 2, 3, 4]).distance).toBe(0);
  expect(kolmogorovSmirnov([1, 2, 3, 4], [5, 6, 7, 8]).distance).toBe(1);
  // At 2: three of four against one of four.
  expect(kolmogorovSmirnov([1, 1, 2, 5], [2, 4, 5, 6]).distance).toBe(0.5);
  expect(kolmogorovSmirnov(range(100), range(100, 25)).distance).toBeCloseTo(0.25, 12);
});

test('ties count on both sides at once', () => {
  expect(kolmogorovSmirnov([1, 1, 1, 1], [1, 1]).distance).toBe(0);
  expect(kolmogorovSmirnov([7, 7, 8], [7, 8, 8]).distance).toBeCloseTo(1 / 3, 12);
});

test('the probability has the known critical values: 5 % at 1.358, 1 % at 1.628, 10 % at 1.224 (large samples)', () => {
  const n = 1_000_000;
  for (const [critical, expected] of [
    [1.2238, 0.1],
    [1.3581, 0.05],
    [1.6276, 0.01],
    [1.9495, 0.001],
  ] as const) {
    const shift = Math.round(critical * Math.sqrt(2 / n) * n);
    expect(kolmogorovSmirnov(range(n), range(n, shift)).p).toBeCloseTo(expected, 3);
  }
});

test('the same sample is certain, a distant one impossible', () => {
  expect(kolmogorovSmirnov(range(200), range(200)).p).toBe(1);
  expect(kolmogorovSmirnov(range(200), range(200, 150)).p).toBeLessThan(1e-30);
});

test('two samples of one distribution differ significantly one time in twenty', () => {
  // A fixed sequence (Park and Miller), so that the count never varies.
  let state = 20_261_129;
  const next = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const rounds = 1_000;
  let significant = 0;
  for (let round = 0; round < rounds; round += 1) {
    const sample = () => Array.from({ length: 100 }, next);
    if (kolmogorovSmirnov(sample(), sample()).p < 0.05) significant += 1;
  }
  expect(significant / rounds).toBeGreaterThan(0.03);
  expect(significant / rounds).toBeLessThan(0.07);
});
