// `npm run bench:refresh [-- rounds] [-- --against commit] [-- --sessions n] [-- --seconds <a measured round>]` compares Refresh of this
// checkout with that of another commit in detail. `npm run bench` measures the same, and prints the ratio.
import { parseArgs } from 'node:util';
import { BASELINE } from './baseline.ts';
import { median, quantile, sum } from './harness.ts';
import { compareRounds, type Part, type RefreshRound, refreshRates } from './refresh-rates.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: 'string', default: BASELINE },
    sessions: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '3' },
  },
});
const PARTS: Part[] = ['service', 'Postgres', 'Redis', 'callers'];
const rounds = Number(positionals[0] ?? 5);

const rates = await refreshRates({
  rounds,
  seconds: Number(values.seconds),
  against: values.against,
  sessions: Number(values.sessions),
});
console.log(`${rounds} rounds, ${values.sessions} sessions with one call each at a time; medians`);
if (rates.former) report(values.against.slice(0, 7), rates.former);
else console.log(`this clone has no commit ${values.against}`);
report('this checkout', rates.current);
reportRatios('Refreshes a second', (current, former) => current.perSecond / former.perSecond);
reportRatios('CPU of a Refresh, all parts', (current, former) => allParts(former) / allParts(current));
for (const part of PARTS)
  reportRatios(`CPU of a Refresh, ${part}`, (current, former) => former.cpu[part] / current.cpu[part]);
process.exit();

function report(name: string, all: RefreshRound[]): void {
  const of = (value: (round: RefreshRound) => number, digits = 0) => median(all.map(value)).toFixed(digits);
  const latency = (q: number) => of(({ latenciesMs }) => quantile(latenciesMs, q), 1);
  const cpu = PARTS.map((part) => `${part} ${of((round) => round.cpu[part])} µs`).join(', ');
  console.log(
    `${name.padEnd(13)} ${of(({ perSecond }) => perSecond)} Refreshes a second, p50 ${latency(0.5)} ms, p99 ${latency(0.99)} ms; ` +
      `CPU of each: ${of(allParts)} µs (${cpu})`,
  );
}

/** Above 1, this checkout is better. */
function reportRatios(what: string, inRound: (current: RefreshRound, former: RefreshRound) => number): void {
  const ratios = compareRounds(rates, inRound);
  if (!ratios) return;
  const each = ratios.each.map((ratio) => ratio.toFixed(2)).join(', ');
  console.log(`${what}, ratio in each round: ${each}; median ${ratios.median.toFixed(2)}`);
}

function allParts({ cpu }: RefreshRound): number {
  return sum(PARTS.map((part) => cpu[part]));
}
