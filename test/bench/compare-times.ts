import { quantile } from './harness.ts';
import { kolmogorovSmirnov } from './kolmogorov-smirnov.ts';

const WARM_UP_ROUNDS = 3;

/** Each round has one call of every kind, in random order. Prints each kind beside the first one. */
export async function compareTimes(
  rounds: number,
  title: string,
  kinds: Record<string, () => Promise<void>>,
): Promise<void> {
  const times = new Map<string, number[]>(Object.keys(kinds).map((kind) => [kind, []]));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    const inTurn = Object.entries(kinds)
      .map((entry) => ({ entry, order: Math.random() }))
      .sort((a, b) => a.order - b.order);
    for (const { entry } of inTurn) {
      const [kind, ask] = entry;
      const startedAt = performance.now();
      await ask();
      if (round >= 0) times.get(kind)?.push(performance.now() - startedAt);
    }
  }
  const [[first = '', reference = []] = []] = times;
  console.log(`\n${title.padEnd(42)} median ms    p90 ms   median against ${first}   KS p`);
  for (const [kind, values] of times) {
    const [median, p90] = [quantile(values, 0.5), quantile(values, 0.9)];
    const ratio = (median / quantile(reference, 0.5)).toFixed(3);
    const p = kind === first ? '' : kolmogorovSmirnov(reference, values).p.toFixed(3);
    console.log(
      `  ${kind.padEnd(40)} ${median.toFixed(2).padStart(9)} ${p90.toFixed(2).padStart(9)}   ${ratio}   ${p}`,
    );
  }
}
