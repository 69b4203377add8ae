// Measures hostile calls without credentials. Prints the cost of the worst message for the main thread, for each public method, and
// the time of Verify for another client, idle and beside each flood, in turn. Run it with: npm run bench:hostile [rounds]
import { execFile } from 'node:child_process';
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { viaFetch } from '../support/clients.ts';
import { signedIn } from '../support/people.ts';
import { serve } from '../support/processes.ts';
import { envelope, rawStream } from '../support/raw.ts';
import { PUBLIC_METHODS, worstOf } from '../support/strangers.ts';
import { quantile, startBackends } from './harness.ts';

const rounds = Number(process.argv[2] ?? 3);
const [VERIFY_RATE, SECONDS] = [500, 4];
const LATENCY = fileURLToPath(new URL('latency.ts', import.meta.url));

const backends = await startBackends();
const server = await serve(backends.environment);
const { accessToken } = await signedIn(viaFetch(server.url));

console.log('CPU of the main thread a call, in ms');
console.log(`${'method'.padEnd(62)} worst   empty   message`);
for (const method of PUBLIC_METHODS) {
  const { worst, plain } = await worstOf(server.child.pid as number, server.url, method);
  const name = `${method.parent.typeName}/${method.name}`.padEnd(62);
  console.log(`${name} ${worst.ms.toFixed(2).padStart(5)}   ${plain.ms.toFixed(2).padStart(5)}   ${worst.name}`);
}

const BOMB = envelope(gzipSync(repeated([0x0a, 0], 524_256)), 1);
/** Each begins a flood and returns a function that ends it. */
const FLOODS: Record<string, () => () => void> = {
  'a gzip bomb to BatchCheckRole, 10 a second': () =>
    everySoOften(100, 1, '/latchkey.auth.v1.VerifierService/BatchCheckRole', BOMB, { 'grpc-encoding': 'gzip' }),
  'the same, 100 at once every second': () =>
    everySoOften(1_000, 100, '/latchkey.auth.v1.VerifierService/BatchCheckRole', BOMB, { 'grpc-encoding': 'gzip' }),
  '32,000 empty headers to Check, 50 a second': () =>
    everySoOften(
      20,
      1,
      '/envoy.service.auth.v3.Authorization/Check',
      envelope(nested([1, 4, 2], repeated([0x1a, 0], 31_000))),
    ),
  '20,000 unknown fields to Login, 50 a second': () =>
    everySoOften(20, 1, '/latchkey.auth.v1.AuthService/Login', envelope(repeated([0xf8, 1, 0], 20_000))),
  '1,000 calls whose bodies never arrive': () => held('/latchkey.auth.v1.AuthService/Login', false),
  '1,000 streams of Health/Watch': () => held('/grpc.health.v1.Health/Watch', true),
};

console.log(
  `\nVerify of another client, ${VERIFY_RATE} a second: ms, medians of ${rounds} rounds, in turn with idle ones`,
);
console.log(`${'flood'.padEnd(46)} idle p50   p99     flood p50   p99    ratio p50   p99`);
for (const [name, begin] of Object.entries(FLOODS)) {
  const [idle, busy]: [number[][], number[][]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    idle.push(await verifyTimes());
    const end = begin();
    await sleep(500);
    busy.push(await verifyTimes());
    end();
    await sleep(1_000);
  }
  const of = (all: number[][], q: number) =>
    quantile(
      all.map((times) => quantile(times, q)),
      0.5,
    );
  const [i50, i99, b50, b99] = [of(idle, 0.5), of(idle, 0.99), of(busy, 0.5), of(busy, 0.99)];
  const column = (value: number, width: number) => value.toFixed(2).padStart(width);
  console.log(
    `${name.padEnd(46)} ${column(i50, 8)} ${column(i99, 7)} ${column(b50, 11)} ${column(b99, 7)} ${column(b50 / i50, 9)} ${column(b99 / i99, 7)}`,
  );
}
server.child.kill('SIGTERM');
await server.ended;
await backends.stop();
process.exit();

async function verifyTimes(): Promise<number[]> {
  const args = [LATENCY, new URL(server.url).port, accessToken, String(VERIFY_RATE), String(SECONDS)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout);
}

function everySoOften(everyMs: number, calls: number, path: string, body: Buffer, headers = {}): () => void {
  const session = open();
  const timer = setInterval(() => {
    for (let n = 0; n < calls; n += 1) rawStream(session, path, headers).stream.end(body);
  }, everyMs);
  return () => {
    clearInterval(timer);
    session.destroy();
  };
}

function held(path: string, isWhole: boolean): () => void {
  const sessions = Array.from({ length: 11 }, open);
  for (let n = 0; n < 1_000; n += 1) {
    const { stream } = rawStream(sessions[n % sessions.length] as http2.ClientHttp2Session, path);
    if (isWhole) stream.end(envelope(Buffer.alloc(0)));
    else stream.write(envelope(Buffer.alloc(1), 0, 40));
  }
  return () => {
    for (const session of sessions) session.destroy();
  };
}

function open(): http2.ClientHttp2Session {
  const session = http2.connect(server.url);
  session.on('error', () => {});
  return session;
}

function repeated(unit: number[], times: number): Buffer {
  return Buffer.concat(Array(times).fill(Buffer.from(unit)));
}

/** The content of a field in a field, by their numbers. */
function nested(numbers: number[], content: Buffer): Buffer {
  return numbers.reduceRight((inner: Buffer, number) => {
    const length = inner.length;
    return Buffer.concat([
      Buffer.from([(number << 3) | 2, (length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14]),
      inner,
    ]);
  }, content);
}
