// The base of the benchmarks: databases of their own, servers pinned to a core, load from Debian's h2load pinned to another.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Environment, processEnvironment } from '../../src/config/config.ts';
import { startEmbeddedPostgres } from '../../src/dev/embedded-postgres.ts';
import { findRedis, startEmbeddedRedis } from '../../src/dev/embedded-redis.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { findProgram } from '../support/program.ts';

/** The core of the server, and the core of the load. */
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
const BOTH_CORES = '0-1';
export const SERVICE_KEY = randomBytes(32).toString('hex');
export const PASSWORD = 'the right pass phrase';
/** A clock tick in /proc, in microseconds. */
const TICK_US = 10_000;

export type Backends = { environment: Environment; ownerUrl: string; folder: string; stop(): Promise<void> };

/**
 * A Postgres and a Redis, and the environment of a service on them without limits.
 * @param prepare creates the database, by default as the service of today does
 */
export async function startBackends(prepare = prepareDatabase): Promise<Backends> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
  const postgres = await startEmbeddedPostgres(folder);
  const redis = await startEmbeddedRedis(await findRedis(processEnvironment().PATH ?? '', PROGRAM_CACHE));
  const owner = new URL(postgres.url);
  owner.pathname = '/bench';
  const service = new URL(owner);
  service.username = 'bench_service';
  await prepare(owner.href, service.href);
  const limits = [
    'LOGIN_ACCOUNT',
    'LOGIN_PAIR',
    'LOGIN_NETWORK',
    'REGISTER_NETWORK',
    'REFRESH_SESSION',
    'REFRESH_USER',
  ];
  return {
    folder,
    ownerUrl: owner.href,
    environment: {
      HOST: '127.0.0.1',
      PORT: '0',
      PUBLIC_URL: 'http://localhost',
      MAIL_FROM: 'no-reply@product.example',
      DATABASE_URL: service.href,
      REDIS_URL: redis.url,
      SMTP_URL: 'smtp://127.0.0.1:1',
      MASTER_KEY: randomBytes(32).toString('base64'),
      SERVICE_KEYS: `bench=${SERVICE_KEY}`,
      ACCESS_TOKEN_TTL_SECONDS: '3600',
      // By default as the image and the systemd units start the service.
      NODE_OPTIONS: processEnvironment().NODE_OPTIONS ?? '--max-semi-space-size=8',
      ...Object.fromEntries(limits.map((name) => [`LIMIT_${name}`, '100000000/1'])),
    },
    async stop() {
      await Promise.all([postgres.stop(), redis.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export type Server = {
  pid: number;
  port: number;
  url: string;
  child: Pick<ChildProcess, 'kill'>;
  stop(): Promise<void>;
};

/** A program that prints its port, pinned to a core, or free to use both when `core` is null. */
export async function startProgram(command: string[], environment: Environment, core: number | null): Promise<Server> {
  const env = { PATH: processEnvironment().PATH, ...environment } as NodeJS.ProcessEnv;
  const child = spawn('taskset', ['-c', String(core ?? BOTH_CORES), ...command], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  const ended = new Promise<void>((resolve) =>
    child.once('exit', () => {
      running.delete(child);
      resolve();
    }),
  );
  const port = await new Promise<number>((resolve, reject) => {
    let output = '';
    const read = (chunk: Buffer) => {
      output += chunk;
      const found = /"port":(\d+)/.exec(output)?.[1];
      if (!found) return;
      // The log of a long run would cost the load more and more.
      child.stdout?.off('data', read).resume();
      resolve(Number(found));
    };
    child.stdout?.on('data', read);
    child.once('exit', () => reject(new Error(output)));
  });
  return {
    pid: child.pid as number,
    port,
    url: `http://127.0.0.1:${port}`,
    child,
    async stop() {
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Programs that a measurement has left running end with this process. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export const startNode = (args: string[], environment: Environment, core: number | null) =>
  startProgram([process.execPath, ...args], environment, core);

export const serve = (environment: Environment, core: number | null) =>
  startNode(['src/main.ts', 'serve'], environment, core);

const CATCH_UP_MS = 200;

/** For the time in which another server is measured: a service without calls still reads revocations several times a second. */
export function pause({ child }: Server): void {
  child.kill('SIGSTOP');
}

/** Waits until the service has read the revocations that it has missed. */
export async function resume({ child }: Server): Promise<void> {
  child.kill('SIGCONT');
  await sleep(CATCH_UP_MS);
}

/** Processor time that a process has used, in microseconds. */
export function cpuMicroseconds(pid: number): number {
  return sum(cpuFields(pid).slice(0, 2));
}

/** utime, stime, and the same of its children that have ended (man 5 proc). */
function cpuFields(pid: number): number[] {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return fields.slice(11, 15).map((ticks) => Number(ticks) * TICK_US);
}

/** All processes below one, such as a Postgres and its connections. */
export function processesBelow(pid: number): { pid: number; name: string }[] {
  const table = execFileSync('ps', ['-eo', 'pid=,ppid=,comm='], { encoding: 'utf8' }).trim().split('\n');
  const all = table.map((line) => {
    const [own, parent, name = ''] = line.trim().split(/\s+/);
    return { pid: Number(own), parent: Number(parent), name };
  });
  const below = (of: number): { pid: number; name: string }[] =>
    all.flatMap((one) => (one.parent === of ? [one, ...below(one.pid)] : []));
  return below(pid);
}

/** Processor time of all, in microseconds. A child of one of them may have ended. */
export function cpuOf(processes: { pid: number }[]): number {
  return sum(processes.flatMap(({ pid }) => (existsSync(`/proc/${pid}`) ? cpuFields(pid) : [])));
}

export function rssMegabytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** The child processes whose command line has this text. */
export function childrenOf(pid: number, what: string): number[] {
  const table = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(pid)], { encoding: 'utf8' });
  const lines = table.split('\n').filter((line) => line.includes(what));
  return lines.map((line) => Number.parseInt(line, 10));
}

/** @param core null for both */
export function pin(pid: number, core: number | null): void {
  execFileSync('taskset', ['-a', '-cp', String(core ?? BOTH_CORES), String(pid)]);
}

export type Load = {
  path: string;
  /** Null for a GET. */
  body: Buffer | null;
  headers: Record<string, string>;
  http1: boolean;
  connections: number;
  streams: number;
  /** Calls a second, by all connections together. Without it they send as many as they can. */
  pace?: number;
};
/** `busy` is the share of the time that the server used a core: far below 1, the load was the limit. */
export type Rate = { perSecond: number; cpuPerCall: number; busy: number };
export type H2loadOptions = {
  folder: string;
  /** The length of the body of a correct answer. gRPC has the status 200 also for errors, but not their length. */
  answerBytes?: number;
};

const run = promisify(execFile);
/** Times in an answer have no fixed length. */
const LENGTH_TOLERANCE = 0.05;

/** Sends requests for this time. Counts successful responses, and fails if there are others. */
export async function h2load(server: Server, load: Load, seconds: number, options: H2loadOptions): Promise<Rate> {
  const before = cpuMicroseconds(server.pid);
  const printed = await sendLoad(server, load, seconds, options);
  const spent = cpuMicroseconds(server.pid) - before;
  const counted = /(\d+) succeeded, (\d+) failed, (\d+) errored/.exec(printed);
  const good = Number(counted?.[1]);
  if (!(good > 0) || Number(counted?.[2]) > 0) throw new Error(printed);
  const received = Number(/\((\d+)\) data/.exec(printed)?.[1]);
  const { answerBytes } = options;
  if (answerBytes !== undefined && received < good * answerBytes * (1 - LENGTH_TOLERANCE))
    throw new Error(`answers of ${answerBytes} bytes are missing: ${printed}`);
  return { perSecond: good / seconds, cpuPerCall: spent / good, busy: spent / (seconds * 1e6) };
}

/** Returns the output of h2load. */
export async function sendLoad(
  server: Server,
  load: Load,
  seconds: number,
  { folder }: Pick<H2loadOptions, 'folder'>,
): Promise<string> {
  const program = await findProgram('nghttp2-client', 'usr/bin/h2load');
  const args = ['-c', String(LOAD_CORE), program.path, '-D', `${Math.round(seconds * 1_000)}ms`];
  args.push('-c', String(load.connections));
  if (load.body) {
    const file = join(folder, 'body');
    writeFileSync(file, load.body);
    args.push('-d', file);
  }
  if (load.http1) args.push('--h1');
  else args.push('-m', String(load.streams));
  if (load.pace) args.push('--rps', String(load.pace / load.connections));
  for (const [name, value] of Object.entries(load.headers)) args.push('-H', `${name}: ${value}`);
  const env = { ...(program.libraryPath && { LD_LIBRARY_PATH: program.libraryPath }) };
  return (await run('taskset', [...args, `${server.url}${load.path}`], { env })).stdout;
}

export function sum(values: number[]): number {
  return values.reduce((total, one) => total + one, 0);
}

export function quantile(values: number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? 0;
}

/** The mean of the two middle values when their number is even. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

export type Tokens = { accessToken: string; refreshToken: string };

let people = 0;

/** Registers a new user and signs in. */
export async function signIn(url: string): Promise<Tokens & { email: string; sessionId: string }> {
  const call = viaFetch(url);
  const email = `bench-${people++}-${process.pid}@people.example`;
  await call(auth.register, { email, password: PASSWORD, fullName: 'Grace Hopper' });
  const { body } = await call(auth.login, { email, password: PASSWORD });
  const claims = JSON.parse(Buffer.from(body.tokens.accessToken.split('.')[1], 'base64url').toString());
  return { ...body.tokens, email, sessionId: claims.sid };
}
