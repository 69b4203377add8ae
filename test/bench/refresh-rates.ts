// Refresh of this checkout beside that of an earlier commit, each with a Postgres and a Redis of its own. They take turns in each round,
// and services, Postgres, Redis and callers share both cores.
import { resolve } from 'node:path';
import { BASELINE, checkOut } from './baseline.ts';
import {
  cpuMicroseconds,
  cpuOf,
  median,
  pause,
  pin,
  processesBelow,
  resume,
  SERVER_CORE,
  type Server,
  startBackends,
  startNode,
} from './harness.ts';
import { openRefreshLoad, type RefreshLoad } from './refresh-load.ts';

const SESSIONS = 64;
const WARM_UP_SECONDS = 0.5;
/** The programs of the backends, as the kernel names their processes. */
const PROGRAMS = { Postgres: /^postgres/, Redis: /^(redis|valkey)-server/ };

export type Part = 'service' | keyof typeof PROGRAMS | 'callers';
/** `cpu` is the processor time of a Refresh in each part, in microseconds. */
export type RefreshRound = { perSecond: number; latenciesMs: number[]; cpu: Record<Part, number> };
/** The rounds of each, in order. `former` is null in a clone without the earlier commit. */
export type RefreshRates = { current: RefreshRound[]; former: RefreshRound[] | null };
export type RefreshOptions = { rounds: number; seconds: number; against?: string; sessions?: number };

type Side = { server: Server; load: RefreshLoad; rounds: RefreshRound[]; stop(): Promise<void> };

export async function refreshRates(options: RefreshOptions): Promise<RefreshRates> {
  const { rounds, seconds, against = BASELINE, sessions = SESSIONS } = options;
  pin(process.pid, null);
  const current = await openSide('.', sessions);
  const folder = await checkOut(against);
  const former = folder === null ? null : await openSide(folder, sessions);
  const sides = former ? [former, current] : [current];
  // The first round warms up.
  for (let round = -1; round < rounds; round += 1) {
    for (const side of sides) {
      const measured = await measure(side, seconds);
      if (round >= 0) side.rounds.push(measured);
    }
  }
  for (const side of sides) await side.stop();
  pin(process.pid, SERVER_CORE);
  return { current: current.rounds, former: former?.rounds ?? null };
}

/** The median over the rounds, because both sides of one round ran next to each other in time. Null without the former. */
export function compareRounds(
  { current, former }: RefreshRates,
  inRound: (current: RefreshRound, former: RefreshRound) => number,
): { each: number[]; median: number } | null {
  if (!former) return null;
  const each = current.map((one, round) => inRound(one, former[round] as RefreshRound));
  return { each, median: median(each) };
}

/** @param folder of the sources of the service */
async function openSide(folder: string, sessions: number): Promise<Side> {
  const { prepareDatabase } = await import(resolve(folder, 'src/store/postgres/prepare-database.ts'));
  const backends = await startBackends(prepareDatabase);
  const server = await startNode([resolve(folder, 'src/main.ts'), 'serve'], backends.environment, null);
  const load = await openRefreshLoad(server, sessions);
  pause(server);
  return {
    server,
    load,
    rounds: [],
    async stop() {
      load.close();
      await server.stop();
      await backends.stop();
    },
  };
}

async function measure({ server, load }: Side, seconds: number): Promise<RefreshRound> {
  await resume(server);
  await load.run(WARM_UP_SECONDS);
  const before = cpuByPart(server);
  const latenciesMs = await load.run(seconds);
  const after = cpuByPart(server);
  pause(server);
  const cpuIn = (part: Part) => (after[part] - before[part]) / latenciesMs.length;
  return {
    perSecond: latenciesMs.length / seconds,
    latenciesMs,
    cpu: { service: cpuIn('service'), Postgres: cpuIn('Postgres'), Redis: cpuIn('Redis'), callers: cpuIn('callers') },
  };
}

/** The backends of the side that waits need almost nothing. */
function cpuByPart({ pid }: Server): Record<Part, number> {
  const below = processesBelow(process.pid);
  const program = (name: RegExp) => cpuOf(below.filter((one) => name.test(one.name)));
  return {
    service: cpuMicroseconds(pid),
    Postgres: program(PROGRAMS.Postgres),
    Redis: program(PROGRAMS.Redis),
    callers: cpuMicroseconds(process.pid),
  };
}
