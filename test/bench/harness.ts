// The base of the benchmarks: databases of their own, servers pinned to a core, load from Debian's h2load pinned to another.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
export const SERVICE_KEY = randomBytes(32).toString('hex');
export const PASSWORD = 'the right pass phrase';
/** A clock tick in /proc, in microseconds. */
const TICK_US = 10_000;

export type Backends = { environment: Environment; ownerUrl: string; folder: string; stop(): Promise<void> };

/** A Postgres and a Redis, and the environment of a service on them without limits. */
export async function startBackends(): Promise<Backends> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
  const postgres = await startEmbeddedPostgres(folder);
  const redis = await startEmbeddedRedis(await findRedis(processEnvironment().PATH ?? '', PROGRAM_CACHE));
  const owner = new URL(postgres.url);
  owner.pathname = '/bench';
  const service = new URL(owner);
  service.username = 'bench_service';
  await prepareDatabase(owner.href, service.href);
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
      ...Object.fromEntries(limits.map((name) => [`LIMIT_${name}`, '100000000/1'])),
    },
    async stop() {
      await Promise.all([postgres.stop(), redis.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export type Server = { pid: number; port: number; url: string; child: ChildProcess; stop(): Promise<void> };

/** A program of Node that prints its port, pinned to a core unless `core` is null. */
export async function startServer(args: string[], environment: Environment, core: number | null): Promise<Server> {
  const [command, ...rest] = [...(core === null ? [] : ['taskset', '-c', String(core)]), process.execPath, ...args];
  const env = { PATH: processEnvironment().PATH, ...environment } as NodeJS.ProcessEnv;
  const child = spawn(command as string, rest, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve, reject) => {
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += chunk;
      const found = /"port":(\d+)/.exec(output)?.[1];
      if (found) resolve(Number(found));
    });
    child.once('exit', () => reject(new Error(output)));
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    pid: child.pid as number,
    port,
    url: `http://127.0.0.1:${port}`,
    child,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

export const serve = (environment: Environment, core: number | null) =>
  startServer(['src/main.ts', 'serve'], environment, core);

/** Processor time that a process has used, in microseconds. */
export function cpuMicroseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** Processor time of a process and of all below it, such as the connections of a Postgres. */
export function treeCpuMicroseconds(pid: number): number {
  const table = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const parents = table.map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const below = (of: number): number[] =>
    parents.flatMap(([child, parent]) => (parent === of ? [child, ...below(child)] : []));
  return [pid, ...below(pid)].reduce((sum, each) => sum + (existsSync(`/proc/${each}`) ? cpuMicroseconds(each) : 0), 0);
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

export function pin(pid: number, core: number): void {
  execFileSync('taskset', ['-a', '-cp', String(core), String(pid)]);
}

export type Load = {
  path: string;
  body: Buffer;
  headers: Record<string, string>;
  http1: boolean;
  connections: number;
  streams: number;
  /** Calls a second, by all connections together. Without it they send as many as they can. */
  pace?: number;
};
export type Rate = { perSecond: number; cpuPerCall: number };

const run = promisify(execFile);

/** Sends requests for this time. Counts successful responses, and fails if there are others. */
export async function h2load(server: Server, load: Load, seconds: number, folder: string): Promise<Rate> {
  const program = await findProgram('nghttp2-client', 'usr/bin/h2load');
  const file = join(folder, 'body');
  writeFileSync(file, load.body);
  const args = [
    '-c',
    String(LOAD_CORE),
    program.path,
    '-D',
    String(seconds),
    '-c',
    String(load.connections),
    '-d',
    file,
  ];
  if (load.http1) args.push('--h1');
  else args.push('-m', String(load.streams));
  if (load.pace) args.push('--rps', String(load.pace / load.connections));
  for (const [name, value] of Object.entries(load.headers)) args.push('-H', `${name}: ${value}`);
  const before = cpuMicroseconds(server.pid);
  const env = { ...(program.libraryPath && { LD_LIBRARY_PATH: program.libraryPath }) };
  const { stdout } = await run('taskset', [...args, `${server.url}${load.path}`], { env });
  const spent = cpuMicroseconds(server.pid) - before;
  const counted = /(\d+) succeeded, (\d+) failed, (\d+) errored/.exec(stdout);
  const good = Number(counted?.[1]);
  if (!(good > 0) || Number(counted?.[2]) > 0) throw new Error(stdout);
  return { perSecond: good / seconds, cpuPerCall: spent / good };
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
