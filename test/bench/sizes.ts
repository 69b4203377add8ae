// `npm run bench:sizes [-- rounds]` measures the processor time of a Verify and the memory of a server, and derives the sizes of
// docs/guides/kubernetes.md from both. Processor time varies less with the other work of the machine than rates do.
import { create, toBinary } from '@bufbuild/protobuf';
import { VerifyRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { envelope } from '../support/raw.ts';
import {
  childrenOf,
  h2load,
  type Load,
  median,
  rssMegabytes,
  SERVER_CORE,
  type Server,
  serve,
  signIn,
  startBackends,
} from './harness.ts';

const rounds = Number(process.argv[2] ?? 3);
const SECONDS = 3;
/** Verify calls a second for which the last table gives sizes. */
const TARGETS = [1_000, 10_000, 50_000];
/** The share of calls that bring a token for the first time: each token of 15 minutes is used 20 times at each pod. */
const FIRST_SEEN_SHARE = 0.05;
/** The use of a pod's core at the target. The rest is for sign-ins, the garbage collector and the loss of a node. */
const PLANNED_USE = 0.5;

const { environment, folder, stop } = await startBackends();
// Postgres, Redis and the load share the other core.
const [cached, uncached] = [
  await serve(environment, SERVER_CORE),
  await serve({ ...environment, TOKEN_CACHE_MB: '0' }, SERVER_CORE),
];
/** Resident memory of a server with its hashing process, in MB. */
const memoryOf = ({ pid }: Server) =>
  [pid, ...childrenOf(pid, 'hashing-main')].map(rssMegabytes).reduce((a, b) => a + b);

const atStart = memoryOf(cached);
const { accessToken } = await signIn(cached.url);
const call: Load = {
  path: '/latchkey.auth.v1.AuthService/Verify',
  body: envelope(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken }))),
  headers: { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '5S' },
  http1: false,
  connections: 4,
  streams: 25,
};
const quiet: Load = { ...call, connections: 20, streams: 1, pace: 1_000 };

const rows: [name: string, server: Server, load: Load][] = [
  ['repeated token, 4 busy connections', cached, call],
  ['first-seen token, 4 busy connections', uncached, call],
  ['repeated token, 1,000 a second over 20 connections', cached, quiet],
  ['first-seen token, 1,000 a second over 20 connections', uncached, quiet],
];
console.log('| Verify over gRPC | calls a second | CPU a call |\n| --- | --- | --- |');
const costs: number[] = [];
for (const [name, server, load] of rows) {
  await h2load(server, load, SECONDS, { folder });
  const rates = [];
  for (let round = 0; round < rounds; round += 1) rates.push(await h2load(server, load, SECONDS, { folder }));
  const [perSecond, cost] = [median(rates.map((one) => one.perSecond)), median(rates.map((one) => one.cpuPerCall))];
  costs.push(cost);
  console.log(`| ${name} | ${Math.round(perSecond).toLocaleString('en')} | ${cost.toFixed(0)} µs |`);
}
const [busyRepeated = 0, busyFirst = 0, quietRepeated = 0, quietFirst = 0] = costs;
const mix = (repeated: number, first: number) => repeated + FIRST_SEEN_SHARE * (first - repeated);
/** A pod with much to do reads and writes several calls at once. */
const busy = mix(busyRepeated, busyFirst);
const idle = mix(quietRepeated, quietFirst);

console.log(
  `\nMemory with the hashing process: ${atStart.toFixed(0)} MB at the start, ${memoryOf(cached).toFixed(0)} MB after the load.`,
);
console.log(
  `With ${FIRST_SEEN_SHARE * 100} % first-seen tokens a call costs ${busy.toFixed(0)} to ${idle.toFixed(0)} µs.\n`,
);
console.log('| Verify a second | cores | pods of one core |\n| --- | --- | --- |');
for (const target of TARGETS) {
  const [least, most] = [busy, idle].map((cost) => (target * cost) / 1e6) as [number, number];
  const pods = Math.max(2, Math.ceil(most / PLANNED_USE));
  console.log(`| ${target.toLocaleString('en')} | ${least.toFixed(2)} to ${most.toFixed(2)} | ${pods} |`);
}
await Promise.all([cached.stop(), uncached.stop()]);
await stop();
process.exit();
