// A deployment whose dependencies can fail: `serve` and `worker` as processes of their own, with a cable to Postgres,
// one to its listener, and one to Redis, and a mail server with moods.
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Environment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { PostgresServer } from '../chaos/postgres-server.ts';
import { QUICK, SERVICE_KEY } from '../support/app.ts';
import { type Cable, layCable, through } from '../support/cable.ts';
import { type Caller, viaFetch } from '../support/clients.ts';
import { createTestDatabase, createTestRedis } from '../support/databases.ts';
import { findPostgresTools } from '../support/debian-postgres.ts';
import { eventually } from '../support/eventually.ts';
import { type MoodySmtp, startMoodySmtp } from '../support/moody-smtp.ts';
import { type RunningProcess, runMain } from '../support/processes.ts';
import { findProgram } from '../support/program.ts';
import { openShell, type Shell } from './shell.ts';

type Program = 'serve' | 'worker';

const FAILED_START_TIMEOUT_MS = 60_000;

export type Scene = {
  folder: string;
  url: string;
  call: Caller;
  ports: Record<'api' | 'apiMetrics' | 'worker' | 'workerMetrics', number>;
  /** The environment of the service as deployed, which the operator's terminal has too. */
  environment: Environment;
  cables: Record<'postgres' | 'listener' | 'redis', Cable>;
  smtp: MoodySmtp;
  /** The server, where the test has one of its own. */
  postgres: PostgresServer | null;
  /** The database as its owner. */
  owner: pg.Pool;
  shell: Shell;
  stop(program: Program, signal?: NodeJS.Signals): Promise<void>;
  /** Returns the process id. */
  start(program: Program, changes?: Environment, args?: string[]): Promise<number>;
  /** Deploys another configuration. Undefined removes a key. */
  deploy(changes: Environment, isStarted?: boolean): Promise<void>;
  signal(program: Program, signal: NodeJS.Signals): void;
  /** The exit code and the output of a start that fails. */
  failedStart(program: Program, changes: Environment): Promise<{ exit: number | string; output: string }>;
  close(): Promise<void>;
};

export type Database = { ownerUrl: string; serviceUrl: string; postgres: PostgresServer | null };

/** @param given the database, otherwise one of the test run's server */
export async function openScene(given?: Database): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-runbook-'));
  const logFile = join(folder, 'latchkey.log');
  writeFileSync(logFile, '');
  const database = given ?? { ...(await createTestDatabase()), postgres: null };
  const redisUrl = await createTestRedis();
  const portOf = (url: string) => Number(new URL(url).port);
  const cables = {
    postgres: await layCable(portOf(database.serviceUrl)),
    listener: await layCable(portOf(database.serviceUrl)),
    redis: await layCable(portOf(redisUrl)),
  };
  const smtp = await startMoodySmtp();
  const ports = await distinctPorts();
  const { api, apiMetrics, worker, workerMetrics } = ports;
  const environment: Environment = {
    ...QUICK,
    ...{ PORT: String(api), METRICS_PORT: String(apiMetrics), HEALTH_PORT: String(worker) },
    PUBLIC_URL: 'https://product.example',
    MAIL_FROM: 'no-reply@product.example',
    DATABASE_URL: through(database.serviceUrl, cables.postgres.port),
    DATABASE_LISTEN_URL: through(database.serviceUrl, cables.listener.port),
    REDIS_URL: through(redisUrl, cables.redis.port),
    SMTP_URL: smtp.url,
    MASTER_KEY: randomBytes(32).toString('base64'),
    SERVICE_KEYS: `gateway=${SERVICE_KEY}`,
    OPERATOR: 'otto',
    MIGRATION_DATABASE_URL: database.ownerUrl,
  };
  const running = new Map<Program, RunningProcess>();
  const environmentOf = (program: Program, changes: Environment): Environment => {
    const { MIGRATION_DATABASE_URL: _, HEALTH_PORT, ...rest } = { ...environment, ...changes };
    return program === 'serve' ? rest : { ...rest, HEALTH_PORT, METRICS_PORT: String(workerMetrics) };
  };
  const owner = new pg.Pool({ connectionString: database.ownerUrl, max: 2 });
  owner.on('error', () => {});

  const scene: Scene = {
    folder,
    url: `http://127.0.0.1:${api}`,
    call: viaFetch(`http://127.0.0.1:${api}`),
    ports,
    environment,
    cables,
    smtp,
    postgres: database.postgres,
    owner,
    shell: openShell(environment, folder, { journalctl: `cat ${logFile}`, ...(await wrappersOfTools()) }),
    async stop(program, signal = 'SIGTERM') {
      const started = running.get(program);
      running.delete(program);
      started?.child.kill(signal);
      await started?.ended;
    },
    async start(program, changes = {}, args = []) {
      const started = runMain([program, ...args], environmentOf(program, changes));
      running.set(program, started);
      started.child.stdout?.on('data', (chunk) => appendFileSync(logFile, chunk));
      started.child.stderr?.on('data', (chunk) => appendFileSync(logFile, chunk));
      await eventually(() => {
        if (started.child.exitCode !== null) throw new Error(started.output());
        return started.output().includes('"started"');
      }, 60_000);
      return started.child.pid ?? 0;
    },
    async deploy(changes, isStarted = true) {
      await Promise.all([scene.stop('serve'), scene.stop('worker')]);
      Object.assign(environment, changes);
      const exports = Object.entries(changes).map(([key, value]) =>
        value === undefined ? `unset ${key}` : `export ${key}='${value}'`,
      );
      await scene.shell.type(exports.join('\n'));
      if (isStarted) await Promise.all([scene.start('serve'), scene.start('worker')]);
    },
    signal: (program, signal) => void running.get(program)?.child.kill(signal),
    async failedStart(program, changes) {
      const started = runMain([program], environmentOf(program, changes));
      const deadline = setTimeout(() => started.child.kill('SIGKILL'), FAILED_START_TIMEOUT_MS);
      const exit = await started.ended;
      clearTimeout(deadline);
      appendFileSync(logFile, started.output());
      return { exit, output: started.output() };
    },
    async close() {
      for (const program of [...running.keys()]) await scene.stop(program, 'SIGKILL');
      scene.shell.close();
      await owner.end();
      await Promise.all([smtp.close(), ...Object.values(cables).map((cable) => cable.close())]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await Promise.all([scene.start('serve'), scene.start('worker')]);
  return scene;
}

/** Programs that the project unpacks itself where they are not installed. */
async function wrappersOfTools(): Promise<Record<string, string>> {
  const [postgres, openssl] = [await findPostgresTools(), await findProgram('openssl', 'usr/bin/openssl')];
  const exec = (path: string, libraries: string) =>
    `${libraries && `export LD_LIBRARY_PATH='${libraries}'\n`}exec '${path}' "$@"`;
  return {
    psql: exec(join(postgres.bin, 'psql'), postgres.libraryPath),
    openssl: exec(openssl.path, openssl.libraryPath),
  };
}

async function distinctPorts(): Promise<Scene['ports']> {
  const found = new Set<number>();
  while (found.size < 4) found.add(await freePort());
  const [api = 0, apiMetrics = 0, worker = 0, workerMetrics = 0] = found;
  return { api, apiMetrics, worker, workerMetrics };
}
