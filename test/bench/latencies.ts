// How long Verify takes at a steady rate: beside servers without any logic, and beside a storm of sign-ins.
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Backends, LOAD_CORE, median, pause, quantile, resume, type Server, serve, signIn } from './harness.ts';
import { storm } from './logins.ts';
import type { Contender } from './rates.ts';

const run = promisify(execFile);
const STEADY_PER_SECOND = 1_000;
const STEADY_SECONDS = 3;
const STORM_SECONDS = STEADY_SECONDS + 2;
const STORM_LEAD_MS = 800;
const SECONDS = 3;
const WARM_UP_SECONDS = 1;

type Quantiles = { p50: number; p99: number };

async function latencies(port: number, accessToken: string, perSecond: number, seconds: number, core: number | null) {
  const args = ['test/bench/latency.ts', String(port), accessToken, String(perSecond), String(seconds)];
  if (core !== null) args.push('--spin');
  const command = ['-c', core === null ? '0-1' : String(core), process.execPath, ...args];
  const { stdout } = await run('taskset', command, { maxBuffer: 1 << 26 });
  const all = JSON.parse(stdout) as number[];
  return { p50: quantile(all, 0.5), p99: quantile(all, 0.99) };
}

/** The rounds take turns. Each contender has the core of servers, and the load has the other. */
export async function comparedLatencies(
  contenders: Contender[],
  { accessToken, perSecond, rounds }: { accessToken: string; perSecond: number; rounds: number },
): Promise<Map<string, Quantiles[]>> {
  const servers = new Map<string, Server>();
  for (const { name, start } of contenders) {
    const server = await start();
    if (typeof server !== 'string') servers.set(name, server);
  }
  const all = new Map<string, Quantiles[]>([...servers.keys()].map((name) => [name, []]));
  for (const server of servers.values()) pause(server);
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, server] of servers) {
      await resume(server);
      await latencies(server.port, accessToken, perSecond, WARM_UP_SECONDS, LOAD_CORE);
      const quantiles = await latencies(server.port, accessToken, perSecond, SECONDS, LOAD_CORE);
      pause(server);
      if (round >= 0) all.get(name)?.push(quantiles);
    }
  }
  for (const server of servers.values()) await server.stop();
  return all;
}

/** The service and the load may use both cores. */
export async function stormLatencies({ environment }: Backends, rounds: number) {
  const server = await serve(environment, null);
  const { accessToken } = await signIn(server.url);
  // Another user, because the storm ends the oldest sessions of its own.
  const { email } = await signIn(server.url);
  const measure = () => latencies(server.port, accessToken, STEADY_PER_SECOND, STEADY_SECONDS, null);
  const [idle, stormy]: [Quantiles[], Quantiles[]] = [[], []];
  let logins = 0;
  for (let round = -1; round < rounds; round += 1) {
    const calm = await measure();
    const [perSecond, busy] = await Promise.all([
      storm(server.url, email, STORM_SECONDS),
      sleep(STORM_LEAD_MS).then(measure),
    ]);
    if (round < 0) continue;
    idle.push(calm);
    stormy.push(busy);
    logins = Math.max(logins, perSecond);
  }
  await server.stop();
  return { idle: medianQuantiles(idle), storm: medianQuantiles(stormy), logins };
}

export function medianQuantiles(all: Quantiles[]): Quantiles {
  return { p50: median(all.map(({ p50 }) => p50)), p99: median(all.map(({ p99 }) => p99)) };
}
