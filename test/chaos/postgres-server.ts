// One Postgres server that can be stopped, crashed, frozen, copied and promoted.
import { execFile } from 'node:child_process';
import { chownSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { findBinaries, initialise } from '../../src/dev/embedded-postgres.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { wrapUnprivileged } from '../../src/dev/owned-process.ts';
import { eventually } from '../support/eventually.ts';
import { type Program, startProgram } from './program.ts';

export type PostgresServer = {
  port: number;
  folder: string;
  pid(): number;
  /** Connects as the owner of everything. */
  url(database: string): string;
  start(options?: StartOptions): Promise<void>;
  /** `SIGINT` is a fast shutdown, `SIGQUIT` an immediate one, `SIGKILL` a crash. */
  stop(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void>;
  freeze(): void;
  thaw(): void;
  isRunning(): boolean;
  // biome-ignore lint/suspicious/noExplicitAny: rows of any query
  query(sql: string, values?: unknown[], database?: string): Promise<any[]>;
};

export type StartOptions = {
  settings?: Record<string, string>;
  /** A shell command that runs first, as root, in a mount namespace that only this server sees. */
  mount?: string;
};

const run = promisify(execFile);
const UNPRIVILEGED_USER = 65534;
const OWNER = 'latchkey_owner';
const DATABASE = 'latchkey';
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  wal_keep_size: '512MB',
  fsync: 'off',
  timezone: 'UTC',
  log_min_messages: 'warning',
};

/** A new server in this folder; not started. */
export async function createPostgres(folder: string): Promise<PostgresServer> {
  const { initdb } = await findBinaries();
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  await initialise(initdb, folder, join(folder, 'data'), join(folder, 'password'));
  return postgresIn(folder);
}

async function postgresIn(folder: string): Promise<PostgresServer> {
  const { postgres } = await findBinaries();
  const port = await freePort();
  const password = readFileSync(join(folder, 'password'), 'utf8').trim();
  const url = (database: string) => `postgres://${OWNER}:${password}@127.0.0.1:${port}/${database}`;
  let program: Program | null = null;
  const isRunning = () => program !== null && !program.hasExited();

  return {
    port,
    folder,
    pid: () => program?.pid ?? 0,
    url,
    isRunning,
    async start({ settings = {}, mount } = {}) {
      if (isRunning()) return;
      const all = Object.entries({ ...SETTINGS, port: String(port), ...settings });
      const args = ['-D', join(folder, 'data'), ...all.flatMap(([name, value]) => ['-c', `${name}=${value}`])];
      const prefix = mount ? ['/usr/bin/unshare', '-m', 'sh', '-c', `${mount}; exec "$@"`, 'sh'] : [];
      program = startProgram(postgres, args, { unprivileged: true, prefix });
      const started = program;
      await eventually(async () => {
        if (started.hasExited()) throw new Error(`Postgres did not start:\n${started.output()}`);
        return query(url('postgres'), 'SELECT 1').catch(() => null);
      }, 60_000);
    },
    async stop(signal) {
      // All of them at once, as when the machine fails: the next start must find none of them.
      if (signal === 'SIGKILL') program?.signalAll('SIGKILL');
      await program?.end(signal);
    },
    freeze: () => program?.signalAll('SIGSTOP'),
    thaw: () => program?.signalAll('SIGCONT'),
    query: (sql, values = [], database = DATABASE) => query(url(database), sql, values),
  };
}

/**
 * Copies a running server as a standby that streams through a port; not started. The standby has its own folder beside the
 * other's.
 */
export async function copyAsStandby(
  primary: PostgresServer,
  folder: string,
  replicationPort: number,
): Promise<PostgresServer> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const data = join(folder, 'data');
  const client = new pg.Client({ connectionString: primary.url('postgres') });
  await client.connect();
  try {
    await client.query("SELECT pg_backup_start('standby', true)");
    await copyData(join(primary.folder, 'data'), data);
    const { rows } = await client.query('SELECT labelfile FROM pg_backup_stop(false)');
    writeFileSync(join(data, 'backup_label'), rows[0].labelfile);
  } finally {
    await client.end();
  }
  cpSync(join(primary.folder, 'password'), join(folder, 'password'));
  followPrimary(data, primary.url('postgres'), replicationPort);
  giveToNobody(data, ['backup_label', 'standby.signal', 'postgresql.auto.conf']);
  return postgresIn(folder);
}

/** Makes a server that is stopped the standby of another one, as its operator does after a failover. */
export function becomeStandby(server: PostgresServer, primary: PostgresServer, replicationPort: number): void {
  const data = join(server.folder, 'data');
  followPrimary(data, primary.url('postgres'), replicationPort);
  giveToNobody(data, ['standby.signal', 'postgresql.auto.conf']);
}

export async function promote(standby: PostgresServer): Promise<void> {
  await standby.query('SELECT pg_promote(true, 30)', [], 'postgres');
}

/** Waits until the standby has replayed all that the primary has written. */
export async function untilInStep(primary: PostgresServer, standby: PostgresServer): Promise<void> {
  const [{ lsn }] = await primary.query('SELECT pg_current_wal_lsn() AS lsn', [], 'postgres');
  await eventually(async () => {
    const [row] = await standby.query('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS done', [lsn], 'postgres');
    return row.done;
  }, 30_000);
}

async function copyData(from: string, to: string): Promise<void> {
  // A file that goes while it is copied is restored from the WAL.
  await run('cp', ['-a', from, to]).catch(() => {});
  rmSync(join(to, 'postmaster.pid'), { force: true });
  for (const name of readdirSync(join(to, 'pg_wal'))) {
    if (/^[0-9A-F]{24}/.test(name)) rmSync(join(to, 'pg_wal', name));
  }
}

function followPrimary(data: string, primaryUrl: string, port: number): void {
  const { username, password } = new URL(primaryUrl);
  const conninfo = `host=127.0.0.1 port=${port} user=${username} password=${password} application_name=standby`;
  writeFileSync(join(data, 'standby.signal'), '');
  writeFileSync(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\nwal_receiver_timeout = '3s'\n`);
}

function giveToNobody(data: string, names: string[]): void {
  if (wrapUnprivileged().length === 0) return;
  for (const name of names) chownSync(join(data, name), UNPRIVILEGED_USER, UNPRIVILEGED_USER);
}

// biome-ignore lint/suspicious/noExplicitAny: rows of any query
async function query(url: string, sql: string, values: unknown[] = []): Promise<any[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 60_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return (await client.query(sql, values)).rows;
  } finally {
    client.end().catch(() => {});
  }
}
