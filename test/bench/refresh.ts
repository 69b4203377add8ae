// `npm run bench:refresh [-- rounds] [-- --against commit] [-- --sessions n]` compares the Refreshes a second of this checkout
// with those of another commit. Both services run on the same two cores as Postgres, Redis and the callers, each on a
// fresh database. They take turns, and the ratio is taken in each round.
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Environment } from '../../src/config/config.ts';
import {
  type Backends,
  cpuMicroseconds,
  median,
  quantile,
  type Server,
  signIn,
  startBackends,
  startProgram,
  treeCpuMicroseconds,
} from './harness.ts';
import type { LoadOrder, LoadResult } from './refresh-load.ts';

/** The last commit with a statement for each Refresh. */
const BEFORE = '2948b66';
const MILLISECONDS = 3_000;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { against: { type: 'string', default: BEFORE }, sessions: { type: 'string', default: '64' } },
});
const rounds = Number(positionals[0] ?? 5);

/** Processor time in microseconds for each Refresh: of the service, and of all processes. */
type Result = LoadResult & { cpuOfService: number; cpuOfAll: number };
type Contender = { name: string; server: Server; tokens: string[]; results: Result[] };

const folder = mkdtempSync(join(tmpdir(), 'latchkey-refresh-'));
const other = join(folder, 'other');
execFileSync('git', ['worktree', 'add', '--detach', other, values.against], { stdio: 'ignore' });
symlinkSync(realpathSync('node_modules'), join(other, 'node_modules'));
const backends = await startBackends();
const callers = fork('test/bench/refresh-load.ts');
try {
  const contenders = [await start(values.against, other, 1), await start('this checkout', resolve('.'), 2)];
  // The first round warms up.
  for (let round = -1; round < rounds; round += 1) {
    for (const contender of contenders) {
      const result = await measure(contender);
      if (round >= 0) contender.results.push(result);
    }
  }
  report(contenders as [Contender, Contender]);
  for (const { server } of contenders) await server.stop();
} finally {
  callers.kill();
  await backends.stop();
  execFileSync('git', ['worktree', 'remove', '--force', other]);
  rmSync(folder, { recursive: true, force: true });
}
process.exit();

async function start(name: string, checkout: string, number: number): Promise<Contender> {
  const environment = await ownDatabase(backends, checkout, number);
  const server = await startProgram([process.execPath, join(checkout, 'src/main.ts'), 'serve'], environment, null);
  const tokens: string[] = [];
  while (tokens.length < Number(values.sessions)) tokens.push((await signIn(server.url)).refreshToken);
  return { name, server, tokens, results: [] };
}

/** Applies the migrations of the checkout. */
async function ownDatabase(
  { environment, ownerUrl }: Backends,
  checkout: string,
  number: number,
): Promise<Environment> {
  const { prepareDatabase } = await import(join(checkout, 'src/store/postgres/prepare-database.ts'));
  const [owner, service] = [new URL(ownerUrl), new URL(environment.DATABASE_URL ?? '')];
  for (const url of [owner, service]) url.pathname = `/refresh_${number}`;
  await prepareDatabase(owner.href, service.href);
  const redis = new URL(environment.REDIS_URL ?? '');
  redis.pathname = `/${number}`;
  return { ...environment, DATABASE_URL: service.href, REDIS_URL: redis.href };
}

async function measure({ server, tokens }: Contender): Promise<Result> {
  const cpu = () => [cpuMicroseconds(server.pid), treeCpuMicroseconds(process.pid)];
  const before = cpu();
  const order: LoadOrder = { port: server.port, tokens, milliseconds: MILLISECONDS };
  callers.send(order);
  const [result] = (await once(callers, 'message')) as [LoadResult];
  tokens.splice(0, tokens.length, ...result.tokens);
  const [cpuOfService = 0, cpuOfAll = 0] = cpu().map((after, n) => (after - (before[n] ?? 0)) / result.done);
  return { ...result, cpuOfService, cpuOfAll };
}

function report(contenders: [Contender, Contender]): void {
  const perSecond = ({ done, milliseconds }: LoadResult) => (done * 1000) / milliseconds;
  console.log(`${rounds} rounds, ${values.sessions} sessions with one caller each; medians`);
  for (const { name, results } of contenders) {
    const of = (value: (result: Result) => number, digits = 0) => median(results.map(value)).toFixed(digits);
    const latency = (q: number) => of(({ latenciesMs }) => quantile(latenciesMs, q), 1);
    console.log(
      `${name.padEnd(13)} ${of(perSecond)} Refreshes a second, p50 ${latency(0.5)} ms, p99 ${latency(0.99)} ms; CPU of each: ` +
        `${of((result) => result.cpuOfService)} µs of the service, ${of((result) => result.cpuOfAll)} µs with Postgres, Redis and callers`,
    );
  }
  const [former, current] = contenders.map(({ results }) => results) as [Result[], Result[]];
  const ratios = (of: (former: Result, current: Result) => number) => {
    const each = former.map((result, round) => of(result, current[round] as Result));
    return `${each.map((ratio) => ratio.toFixed(2)).join(', ')}; median ${median(each).toFixed(2)}`;
  };
  console.log(`Refreshes a second, ratio in each round: ${ratios((one, other) => perSecond(other) / perSecond(one))}`);
  console.log(`CPU of a Refresh, ratio in each round: ${ratios((one, other) => one.cpuOfAll / other.cpuOfAll)}`);
}
