/**
 * The two-sample Kolmogorov-Smirnov test: the largest distance between the empirical distributions, and the probability of one at
 * least as large if both samples came from the same distribution (asymptotic, with Stephens' correction for small samples).
 */
export function kolmogorovSmirnov(one: number[], other: number[]): { distance: number; p: number } {
  const [a, b] = [one.toSorted((x, y) => x - y), other.toSorted((x, y) => x - y)];
  let [i, j, distance] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const value = Math.min(a[i] as number, b[j] as number);
    while (i < a.length && (a[i] as number) <= value) i += 1;
    while (j < b.length && (b[j] as number) <= value) j += 1;
    distance = Math.max(distance, Math.abs(i / a.length - j / b.length));
  }
  const n = Math.sqrt((a.length * b.length) / (a.length + b.length));
  return { distance, p: survival((n + 0.12 + 0.11 / n) * distance) };
}

/** The survival function of the Kolmogorov distribution. */
function survival(lambda: number): number {
  // The series converges slowly here, and the limit is 1.
  if (lambda < 0.2) return 1;
  let sum = 0;
  for (let k = 1; k <= 100; k += 1) sum += (k % 2 === 1 ? 2 : -2) * Math.exp(-2 * k * k * lambda * lambda);
  return Math.min(1, Math.max(0, sum));
}
