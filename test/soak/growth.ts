export type Sample = { seconds: number; value: number };

/** How much the value grows between the first and the last sample, by the line of the least squares. */
export function growthOf(samples: Sample[]): number {
  const mean = (pick: (sample: Sample) => number) =>
    samples.reduce((total, sample) => total + pick(sample), 0) / samples.length;
  const [meanSeconds, meanValue] = [mean(({ seconds }) => seconds), mean(({ value }) => value)];
  const covariance = mean(({ seconds, value }) => (seconds - meanSeconds) * (value - meanValue));
  const variance = mean(({ seconds }) => (seconds - meanSeconds) ** 2);
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || variance === 0) throw new Error('the growth needs samples of two times');
  return (covariance / variance) * (last.seconds - first.seconds);
}
