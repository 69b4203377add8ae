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
  startServer,
} from './harness.ts';
import type { LoadOrder, LoadResult } from './refresh-load.ts';

const BEFORE_SHARED_STATEMENTS = '2948b66';
const MILLISECONDS = 3_000;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: 'string', default: BEFORE_SHARED_STATEMENTS },
    sessions: { type: 'string', default: '64' },
  },
});
const rounds = Number(positionals[0] ?? 5);

type Contender = { name: string; server: Server; tokens: string[]; results: (LoadResult & { cpuPerCall: number })[] };

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
  const server = await startServer([join(checkout, 'src/main.ts'), 'serve'], environment, null);
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

async function measure({ server, tokens }: Contender): Promise<LoadResult & { cpuPerCall: number }> {
  const before = cpuMicroseconds(server.pid);
  const order: LoadOrder = { port: server.port, tokens, milliseconds: MILLISECONDS };
  callers.send(order);
  const [result] = (await once(callers, 'message')) as [LoadResult];
  tokens.splice(0, tokens.length, ...result.tokens);
  return { ...result, cpuPerCall: (cpuMicroseconds(server.pid) - before) / result.done };
}

function report(contenders: [Contender, Contender]): void {
  const rate = ({ done, milliseconds }: LoadResult) => (done * 1000) / milliseconds;
  console.log(`${rounds} rounds, ${values.sessions} sessions, one caller each; medians`);
  for (const { name, results } of contenders) {
    const p = (q: number) => median(results.map(({ latenciesMs }) => quantile(latenciesMs, q))).toFixed(1);
    const cpu = median(results.map(({ cpuPerCall }) => cpuPerCall)).toFixed(0);
    const perSecond = median(results.map(rate)).toFixed(0);
    console.log(
      `${name.padEnd(16)} ${perSecond} Refreshes a second, ${cpu} µs of server CPU each, p50 ${p(0.5)} ms, p99 ${p(0.99)} ms`,
    );
  }
  const [former, current] = contenders.map(({ results }) => results.map(rate)) as [number[], number[]];
  const ratios = current.map((value, round) => value / (former[round] ?? 0));
  console.log(
    `ratio in each round: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}; median ${median(ratios).toFixed(2)}`,
  );
}
