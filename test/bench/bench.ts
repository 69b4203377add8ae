// `npm run bench [-- rounds] [-- --write]` measures every figure of docs/performance.md side by side in one run. The service has one core
// and the load has the other. Rounds of all contenders take turns, and medians are printed. With --write the tables go into
// docs/performance.md and the chart into docs/images/performance.svg.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import pg from 'pg';
import { CheckRequestSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { VerifyRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { BatchVerifyRequestSchema } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { envelope } from '../support/raw.ts';
import {
  childrenOf,
  h2load,
  LOAD_CORE,
  type Load,
  median,
  PASSWORD,
  pin,
  quantile,
  type Rate,
  SERVER_CORE,
  SERVICE_KEY,
  type Server,
  serve,
  signIn,
  startBackends,
  startServer,
} from './harness.ts';
import { type Bar, plot } from './plot.ts';

const run = promisify(execFile);
const rounds = Number(process.argv.slice(2).find((text) => /^\d+$/.test(text)) ?? 5);
const SECONDS = 2;
const BATCH = 100;
const STORM_CALLERS = 24;
const lines: string[] = [];
const say = (line = '') => {
  lines.push(line);
  console.log(line);
};
const table = (head: string[], rows: string[][]) => {
  say(`| ${head.join(' | ')} |`);
  say(`| ${head.map(() => '---').join(' | ')} |`);
  for (const row of rows) say(`| ${row.join(' | ')} |`);
  say();
};
const thousands = (value: number) => Math.round(value).toLocaleString('en');
const ms = (value: number) => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;

pin(process.pid, SERVER_CORE);
const backends = await startBackends();
const { environment, folder } = backends;

function grpcBody<Desc extends DescMessage>(schema: Desc, input: MessageInitShape<Desc>): Buffer {
  return envelope(toBinary(schema, create(schema, input)));
}

const PATH = '/latchkey.auth.v1.AuthService/Verify';
const GRPC = { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '5S' };
const overHttp2 = { http1: false, connections: 4, streams: 25 };
const overHttp1 = { http1: true, connections: 16, streams: 1 };

const REPEATED = 'Verify, gRPC, repeated token';
const FIRST_SEEN = 'Verify, gRPC, first-seen token';
const EXT_AUTHZ = 'ext_authz Check, gRPC, repeated token';
const HTTP2 = 'bare node:http2, a constant';

type Contender = { name: string; server: Server; load: Load; isOurs: boolean; per: number };

/** The rounds of each contender, in order. */
async function verifyRates(): Promise<Map<string, Rate[]>> {
  // One process for each contender: a process that has served another protocol has another heap.
  const cached = await serve(environment, SERVER_CORE);
  const cachedHttp1 = await serve(environment, SERVER_CORE);
  const cachedBatch = await serve(environment, SERVER_CORE);
  const cachedExtAuthz = await serve(environment, SERVER_CORE);
  // A cache without room: each token is a first-seen token.
  const uncached = await serve({ ...environment, TOKEN_CACHE_MB: '0' }, SERVER_CORE);
  const contender = (kind: string) => startServer(['test/bench/contenders.ts', kind], {}, SERVER_CORE);
  const [grpcJs, connectNode, http2, http] = [
    await contender('grpc-js'),
    await contender('connect-node'),
    await contender('http2'),
    await contender('http'),
  ];
  const { accessToken } = await signIn(cached.url);
  const grpc = { path: PATH, body: grpcBody(VerifyRequestSchema, { accessToken }), headers: GRPC, ...overHttp2 };
  const json = {
    path: PATH,
    body: Buffer.from(JSON.stringify({ accessToken })),
    headers: { 'content-type': 'application/json' },
    ...overHttp1,
  };
  const envoyHeaders = {
    ':authority': 'shop.example',
    ':method': 'GET',
    ':path': '/orders',
    ':scheme': 'https',
    accept: '*/*',
    'user-agent': 'curl/8',
    'x-forwarded-proto': 'https',
    'x-request-id': 'b3f8d5c2-1111-4222-8333-944445555666',
    authorization: `Bearer ${accessToken}`,
  };
  const attributes = { request: { http: { method: 'GET', path: '/orders', headers: envoyHeaders } } };
  const extAuthz = {
    ...grpc,
    path: '/envoy.service.auth.v3.Authorization/Check',
    body: grpcBody(CheckRequestSchema, { attributes }),
  };
  const binary = { ...json, body: grpc.body.subarray(5), headers: { 'content-type': 'application/proto' } };
  const accessTokens = Array.from({ length: BATCH }, () => accessToken);
  const batch = {
    path: '/latchkey.auth.v1.VerifierService/BatchVerify',
    body: grpcBody(BatchVerifyRequestSchema, { accessTokens }),
    headers: { ...GRPC, authorization: `Bearer ${SERVICE_KEY}` },
    ...overHttp2,
    streams: 2,
  };
  const contenders: Contender[] = [
    { name: 'grpc-js, empty handler', server: grpcJs, load: grpc, isOurs: false, per: 1 },
    { name: REPEATED, server: cached, load: grpc, isOurs: true, per: 1 },
    { name: HTTP2, server: http2, load: grpc, isOurs: false, per: 1 },
    { name: FIRST_SEEN, server: uncached, load: grpc, isOurs: true, per: 1 },
    { name: EXT_AUTHZ, server: cachedExtAuthz, load: extAuthz, isOurs: true, per: 1 },
    { name: 'connect-node, empty handler, gRPC', server: connectNode, load: grpc, isOurs: false, per: 1 },
    { name: 'Verify, JSON, HTTP/1.1', server: cachedHttp1, load: json, isOurs: true, per: 1 },
    { name: 'Verify, Connect, HTTP/1.1', server: cachedHttp1, load: binary, isOurs: true, per: 1 },
    { name: 'bare node:http, JSON', server: http, load: json, isOurs: false, per: 1 },
    { name: `BatchVerify of ${BATCH}, tokens`, server: cachedBatch, load: batch, isOurs: true, per: BATCH },
  ];
  const rates = new Map<string, Rate[]>(contenders.map(({ name }) => [name, []]));
  // The first round warms up.
  for (let round = -1; round < rounds; round += 1) {
    for (const { name, server, load, per } of contenders) {
      const { perSecond, cpuPerCall } = await h2load(server, load, SECONDS, folder);
      if (round >= 0) rates.get(name)?.push({ perSecond: perSecond * per, cpuPerCall: cpuPerCall / per });
    }
  }
  for (const server of [cached, cachedHttp1, cachedBatch, cachedExtAuthz, uncached, grpcJs, connectNode, http2, http])
    await server.stop();
  return rates;
}

async function localRates() {
  const { stdout } = await run('taskset', [
    '-c',
    String(SERVER_CORE),
    process.execPath,
    'test/bench/local.ts',
    String(rounds),
  ]);
  const each = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<'firstSeen' | 'cached' | 'publicSignature', number>);
  const of = (name: 'firstSeen' | 'cached' | 'publicSignature') => median(each.map((one) => one[name]));
  return { firstSeen: of('firstSeen'), cached: of('cached'), publicSignature: of('publicSignature') };
}

/** Signs in continuously with several callers. Returns the sign-ins a second. */
async function storm(url: string, email: string, seconds: number): Promise<number> {
  const call = viaFetch(url);
  const startedAt = performance.now();
  const end = startedAt + seconds * 1000;
  let done = 0;
  await Promise.all(
    Array.from({ length: STORM_CALLERS }, async () => {
      while (performance.now() < end) {
        const { code } = await call(auth.login, { email, password: PASSWORD });
        if (code !== 'ok') throw new Error(code);
        if (performance.now() < end) done += 1;
      }
    }),
  );
  return done / seconds;
}

/** Hashing has one core for itself. Everything else, including the callers and Postgres, shares the other. */
async function loginRates() {
  const server = await serve({ ...environment, HASH_CONCURRENCY: '1' }, SERVER_CORE);
  for (const pid of childrenOf(server.pid, 'hashing-main')) pin(pid, LOAD_CORE);
  const { email } = await signIn(server.url);
  const [logins, raw]: [number[], number[]] = [[], []];
  for (let round = -1; round < rounds; round += 1) {
    const perSecond = await storm(server.url, email, 3);
    const { stdout } = await run('taskset', [
      '-c',
      String(LOAD_CORE),
      process.execPath,
      'test/bench/raw-argon2.ts',
      '3',
    ]);
    if (round < 0) continue;
    logins.push(perSecond);
    raw.push(Number(stdout));
  }
  await server.stop();
  return { login: median(logins), raw: median(raw) };
}

/** All processes may use both cores. */
async function latencies() {
  const server = await serve(environment, null);
  const { accessToken, email } = await signIn(server.url);
  const measure = async () => {
    const args = ['test/bench/latency.ts', server.url, accessToken, '1000', '4'];
    const { stdout } = await run('taskset', ['-c', '0-1', process.execPath, ...args], { maxBuffer: 1 << 24 });
    return JSON.parse(stdout) as number[];
  };
  const [idle, stormy]: [number[][], number[][]] = [[], []];
  let logins = 0;
  for (let round = -1; round < rounds; round += 1) {
    const calm = await measure();
    const storming = storm(server.url, email, 6);
    await sleep(800);
    const busy = await measure();
    const perSecond = await storming;
    if (round < 0) continue;
    idle.push(calm);
    stormy.push(busy);
    logins = Math.max(logins, perSecond);
  }
  await server.stop();
  const of = (all: number[][], q: number) => median(all.map((one) => quantile(one, q)));
  return { idle: [of(idle, 0.5), of(idle, 0.99)], storm: [of(stormy, 0.5), of(stormy, 0.99)], logins };
}

/** The time from the commit that ends a session, in another process, to the first rejection of its token at a server. */
async function revocationDelays(listenUrl: string | undefined, count: number): Promise<number[]> {
  const settings = listenUrl === undefined ? {} : { DATABASE_LISTEN_URL: listenUrl };
  const [issuing, watching] = [await serve(environment, null), await serve({ ...environment, ...settings }, null)];
  const owner = new pg.Client({ connectionString: backends.ownerUrl });
  await owner.connect();
  const call = viaFetch(watching.url);
  const delays: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const { accessToken, sessionId } = await signIn(issuing.url);
    if ((await call(auth.verify, { accessToken })).code !== 'ok') throw new Error('rejected too early');
    // Independent of the poll's rhythm.
    await sleep(Math.random() * 500);
    await owner.query('UPDATE sessions SET ended_at = now() WHERE id = $1', [sessionId]);
    const committedAt = performance.now();
    while ((await call(auth.verify, { accessToken })).code === 'ok') await sleep(1);
    delays.push(performance.now() - committedAt);
  }
  await owner.end();
  await Promise.all([issuing.stop(), watching.stop()]);
  return delays;
}

async function refreshRate(): Promise<number> {
  const server = await serve(environment, null);
  const call = viaFetch(server.url);
  const sessions = await Promise.all(Array.from({ length: 16 }, () => signIn(server.url)));
  const perRound: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const end = performance.now() + SECONDS * 1000;
    let done = 0;
    await Promise.all(
      sessions.map(async (session) => {
        while (performance.now() < end) {
          const { code, body } = await call(auth.refresh, { refreshToken: session.refreshToken });
          if (code !== 'ok') throw new Error(code);
          session.refreshToken = body.tokens.refreshToken;
          done += 1;
        }
      }),
    );
    perRound.push(done / SECONDS);
  }
  await server.stop();
  return median(perRound);
}

const rounded = await verifyRates();
const rates = new Map<string, Rate>(
  [...rounded].map(([name, all]) => [
    name,
    { perSecond: median(all.map((one) => one.perSecond)), cpuPerCall: median(all.map((one) => one.cpuPerCall)) },
  ]),
);
/** The median of the ratio in each round, because the contenders of one round ran next to each other in time. */
const against = (one: string, other: string) => {
  const others = rounded.get(other) ?? [];
  const ratios = (rounded.get(one) ?? []).map(({ perSecond }, round) => perSecond / (others[round]?.perSecond ?? 0));
  return ratio(median(ratios));
};
const ratio = (value: number) => value.toFixed(2);

const today = new Date().toISOString().slice(0, 10);
say(`${today}: ${rounds} rounds, medians; Node ${process.versions.node}, ${cpuName()}, one core for the server.`);
say();
table(
  ['', 'calls a second', 'CPU a call', 'against bare node:http2'],
  [...rates].map(([name, { perSecond, cpuPerCall }]) => [
    name,
    thousands(perSecond),
    `${cpuPerCall.toFixed(1)} µs`,
    against(name, HTTP2),
  ]),
);
const local = await localRates();
const login = await loginRates();
const latency = await latencies();
const notified = await revocationDelays(undefined, 100);
const polled = await revocationDelays('none', 30);
const refresh = await refreshRate();
const firstSeen = rates.get(FIRST_SEEN) as Rate;
const transport = rates.get(HTTP2) as Rate;
const batchName = `BatchVerify of ${BATCH}, tokens`;
table(
  ['what', 'measured', 'floor'],
  [
    ['Verify, repeated token, against an empty grpc-js handler', against(REPEATED, 'grpc-js, empty handler'), '2.0'],
    ['against a bare node:http2 handler', against(REPEATED, HTTP2), '0.9'],
    ['against an empty connect-node handler', against(REPEATED, 'connect-node, empty handler, gRPC'), '8'],
    ['Verify, first-seen against repeated token', against(FIRST_SEEN, REPEATED), '0.5'],
    [
      'Verify, first-seen, against public signature plus transport',
      ratio((local.publicSignature + transport.cpuPerCall) / firstSeen.cpuPerCall),
      '1',
    ],
    ['JSON over HTTP/1.1 against bare node:http', against('Verify, JSON, HTTP/1.1', 'bare node:http, JSON'), '0.8'],
    [
      'Connect over HTTP/1.1 against bare node:http',
      against('Verify, Connect, HTTP/1.1', 'bare node:http, JSON'),
      '0.8',
    ],
    ['ext_authz Check against Verify', against(EXT_AUTHZ, REPEATED), ''],
    [`BatchVerify of ${BATCH} against unary, tokens a second`, against(batchName, REPEATED), '5'],
    ['local verification, cached, a second', thousands(1e6 / local.cached), '500,000'],
    ['local verification, first-seen, a second', thousands(1e6 / local.firstSeen), ''],
    ['Login against raw argon2id of the core that hashes', ratio(login.login / login.raw), '0.95'],
    ['Login a second, on that core', login.login.toFixed(1), ''],
    ['Verify at 1,000 a second, idle: p50, p99', latency.idle.map((value) => ms(value)).join(', '), ''],
    [
      `the same during ${latency.logins.toFixed(0)} sign-ins a second`,
      latency.storm.map((value) => ms(value)).join(', '),
      `p99 ${ms((latency.idle[1] ?? 0) * 3)}`,
    ],
    ['commit to rejection at another process, by NOTIFY: p50, p99', delays(notified), 'p99 250 ms'],
    ['the same by polling alone', delays(polled), 'p99 1.5 s'],
    ['Refresh a second, Postgres and callers on the same two cores', thousands(refresh), ''],
  ],
);
await backends.stop();

const bars: Bar[] = [...rates]
  .filter(([name]) => name !== batchName)
  .map(([label, { perSecond }]) => ({
    label,
    value: perSecond,
    text: thousands(perSecond),
    isOurs: label.startsWith('Verify') || label === EXT_AUTHZ,
  }));
if (process.argv.includes('--write')) {
  writeFileSync('docs/images/performance.svg', plot('Calls a second on one core', bars));
  const page = readFileSync('docs/performance.md', 'utf8');
  const [before, after] = [page.split('<!-- bench -->')[0], page.split('<!-- /bench -->')[1]];
  writeFileSync('docs/performance.md', `${before}<!-- bench -->\n\n${lines.join('\n')}\n<!-- /bench -->${after}`);
}
process.exit();

function delays(all: number[]): string {
  return `${ms(quantile(all, 0.5))}, ${ms(quantile(all, 0.99))}`;
}

function cpuName(): string {
  return /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
}
