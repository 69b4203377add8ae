// `npm run bench:workers [-- rounds]` measures Verify with one and with two workers of `serve --workers`, by few connections that stay
// open, as those of a gateway, and by more of them. It prints the connections and the use of a core of each process, before and after a
// worker is restarted. The load takes one of two cores, so two workers can have at most what it leaves of the other.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectionsOf } from '../support/connections-of.ts';
import { startGateway } from '../support/reconnecting-gateway.ts';
import {
  childrenOf,
  cpuMicroseconds,
  cpuOf,
  type H2loadOptions,
  h2load,
  type Load,
  median,
  type Server,
  serve,
  signIn,
  startBackends,
  startNode,
  sum,
} from './harness.ts';
import { check, createLoads } from './loads.ts';

const WORKERS = [1, 2];
const CONNECTIONS = [4, 16];
const CALLS_IN_FLIGHT = 96;
const SECONDS = 2;
const WARM_UP_SECONDS = 0.5;
const FOLLOW_MS = 60_000;
const LOOK_EVERY_MS = 50;
const rounds = Number(process.argv[2] ?? 3);

/** `busy` is the use of a core by each process. */
type Measured = { perSecond: number; spread: number[]; busy: { load: number; supervisor: number; workers: number[] } };
type Service = { workers: number; server: Server };

const backends = await startBackends();
// At a server of its own, because fetch keeps its connections open.
const issuer = await serve(backends.environment, null);
const { verify } = createLoads((await signIn(issuer.url)).accessToken);
await issuer.stop();
const services: Service[] = [];
for (const workers of WORKERS) {
  const server = await startNode(['src/main.ts', 'serve', '--workers', String(workers)], backends.environment, null);
  await untilAllAccept({ workers, server });
  services.push({ workers, server });
}
const [first, last] = [services[0], services.at(-1)] as [Service, Service];

await compare('before the restart');
await restartOne(last);
await compare('after the restart');
for (const { server } of services) await server.stop();
await backends.stop();
process.exit();

function workersOf({ server }: Service): number[] {
  return childrenOf(server.pid, 'main.ts');
}

function spreadOf(service: Service): number[] {
  return workersOf(service).map((pid) => connectionsOf(pid, service.server.port));
}

/** A worker that has started gets the next connection. */
async function untilAllAccept(service: Service): Promise<void> {
  for (;;) {
    const sockets = Array.from({ length: service.workers }, () => connect(service.server.port, '127.0.0.1'));
    await sleep(LOOK_EVERY_MS);
    const spread = spreadOf(service);
    for (const socket of sockets) socket.destroy();
    await sleep(LOOK_EVERY_MS);
    if (spread.length === service.workers && spread.every((count) => count > 0)) return;
  }
}

async function compare(when: string): Promise<void> {
  for (const connections of CONNECTIONS) {
    const load = { ...verify, connections, streams: CALLS_IN_FLIGHT / connections };
    const measured = new Map<Service, Measured[]>(services.map((service) => [service, []]));
    const answerBytes = await check(first.server, verify);
    for (let round = 0; round < rounds; round += 1)
      for (const [service, all] of measured) all.push(await measure(service, load, { ...backends, answerBytes }));
    console.log(`${when}, ${connections} connections:`);
    for (const [service, all] of measured) report(service, all);
    const [ones, others] = [measured.get(first) ?? [], measured.get(last) ?? []];
    const ratios = others.map(({ perSecond }, round) => perSecond / (ones[round]?.perSecond ?? 0));
    console.log(
      `  ${last.workers} workers against ${first.workers}, in each round: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}; ` +
        `median ${median(ratios).toFixed(2)}`,
    );
  }
}

async function measure(service: Service, load: Load, options: H2loadOptions): Promise<Measured> {
  const { server } = service;
  await h2load(server, load, WARM_UP_SECONDS, options);
  const pids = workersOf(service);
  const cpu = () => ({
    load: cpuOf([process]),
    supervisor: cpuMicroseconds(server.pid),
    workers: pids.map(cpuMicroseconds),
  });
  const before = cpu();
  const running = h2load(server, load, SECONDS, options);
  await sleep((SECONDS * 1_000) / 2);
  const spread = spreadOf(service);
  const { perSecond } = await running;
  const after = cpu();
  const use = (from: number, to: number) => (to - from) / (SECONDS * 1e6);
  return {
    perSecond,
    spread,
    busy: {
      load: use(before.load, after.load),
      supervisor: use(before.supervisor, after.supervisor),
      workers: after.workers.map((spent, n) => use(before.workers[n] ?? 0, spent)),
    },
  };
}

function report({ workers }: Service, all: Measured[]): void {
  const percent = (of: (one: Measured) => number) => `${(median(all.map(of)) * 100).toFixed(0)} %`;
  const each = Array.from({ length: workers }, (_, n) => percent(({ busy }) => busy.workers[n] ?? 0));
  const cpuPerCall = all.map(({ perSecond, busy }) => (sum(busy.workers) * 1e6) / perSecond);
  console.log(
    `  --workers ${workers}: ${Math.round(median(all.map(({ perSecond }) => perSecond)))} calls a second, ` +
      `${median(cpuPerCall).toFixed(1)} µs of a worker each; ` +
      `connections of the workers ${all.map(({ spread }) => spread.join('+')).join(', ')}; use of a core: ` +
      `workers ${each.join(' and ')}, supervisor ${percent(({ busy }) => busy.supervisor)}, load ${percent(({ busy }) => busy.load)}`,
  );
}

/** A gateway calls all the time, and prints how its connections are spread until they are even again. */
async function restartOne(service: Service): Promise<void> {
  const count = CONNECTIONS[0] as number;
  const gateway = startGateway(service.server.port, count);
  const isEven = (spread: number[]) =>
    spread.length === service.workers && spread.every((open) => open === count / spread.length);
  while (!isEven(spreadOf(service))) await sleep(LOOK_EVERY_MS);
  console.log(`a gateway with ${count} connections, while a worker is restarted:`);
  const startedAt = performance.now();
  let shown = '';
  const [stopped] = workersOf(service) as [number];
  for (let hasStopped = false; performance.now() - startedAt < FOLLOW_MS; await sleep(LOOK_EVERY_MS)) {
    const spread = spreadOf(service);
    const text = spread.length === 0 ? 'no worker' : spread.join('+');
    if (text !== shown) console.log(`  after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s: ${text}`);
    shown = text;
    if (!hasStopped) process.kill(stopped, 'SIGTERM');
    else if (isEven(spread) && !workersOf(service).includes(stopped)) break;
    hasStopped = true;
  }
  await gateway.stop();
  console.log(`  ${gateway.answered} calls were answered, ${gateway.lost.length} were not`);
  await untilAllAccept(service);
}
