// docs/guides/backup-and-upgrade.md as an operator types it: backup, restore, point in time, upgrade and rollback, on real servers with
// Debian's tools.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import type { App } from '../../src/app.ts';
import { startApp } from '../../src/app.ts';
import type { Environment } from '../../src/config/config.ts';
import { readConfig } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { wrapUnprivileged } from '../../src/dev/owned-process.ts';
import { createLogger } from '../../src/process/log.ts';
import { openTestMailbox, SERVICE_KEY, testEnvironment } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { createTestRedis } from '../support/databases.ts';
import {
  type DebianPostgres,
  findPostgresTools,
  makeServerFolder,
  type PostgresTools,
  startDebianPostgres,
  toolsEnvironment,
} from '../support/debian-postgres.ts';
import { eventually } from '../support/eventually.ts';
import { registered, type SignedIn, signedIn } from '../support/people.ts';

const BOOK = readFileSync('docs/guides/backup-and-upgrade.md', 'utf8');
const typed = new Set<string>();

let folder: string;
let tools: PostgresTools;
let mailbox: Mailbox;
let base: Environment;
let newServer: DebianPostgres;
let old: Service & { server: DebianPostgres };

type Service = { app: App; call: Caller; environment: Environment };

beforeAll(async () => {
  folder = makeServerFolder(mkdtempSync(join(tmpdir(), 'latchkey-operations-')));
  for (const name of ['old', 'new', 'backup', 'backup/wal', 'restore']) makeServerFolder(join(folder, name));
  tools = await findPostgresTools();
  mailbox = await openTestMailbox();
  base = await testEnvironment(mailbox, {
    MASTER_KEY: randomBytes(32).toString('base64'),
    PUBLIC_URL: 'https://a.example',
  });
  const server = await startDebianPostgres(tools, join(folder, 'old'), archiveSettings());
  const environment = await environmentOn(server.url);
  await type(environment, 'migrate', 'node src/main.ts migrate --service-login');
  old = { ...(await serve(environment)), server };
}, 240_000);
afterAll(async () => {
  await old?.app.close();
  await Promise.all([old?.server.stop(), newServer?.stop()]);
  await mailbox?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** As the page has them, in this test's folder. */
function archiveSettings(): Record<string, string> {
  const lines = here(/```ini\n([^`]*)```/.exec(BOOK)?.[1] ?? '')
    .trim()
    .split('\n');
  return Object.fromEntries(
    lines.map((line) =>
      line
        .split(/ = (.*)/)
        .slice(0, 2)
        .map((part) => part.replace(/^'|'$/g, '')),
    ),
  );
}

function here(commands: string): string {
  return commands
    .replaceAll('/backup', join(folder, 'backup'))
    .replaceAll('/restore', join(folder, 'restore'))
    .replaceAll(/[a-z-]+\.dump/g, (name) => join(folder, name));
}

/** The service's environment on a database `latchkey` of this server, with an empty Redis. */
async function environmentOn(serverUrl: string): Promise<Environment> {
  const owner = Object.assign(new URL(serverUrl), { pathname: '/latchkey' });
  const service = Object.assign(new URL(owner), { username: 'latchkey', password: 'service' });
  return {
    ...base,
    DATABASE_URL: service.href,
    MIGRATION_DATABASE_URL: owner.href,
    REDIS_URL: await createTestRedis(),
  };
}

async function serve(environment: Environment): Promise<Service> {
  const app = await startApp(readConfig(environment), { api: true, worker: true }, createLogger('silent'));
  return { app, environment, call: viaFetch(`http://127.0.0.1:${app.port}`) };
}

/** The block of the page that begins with this comment. */
function block(title: string): string {
  const found = [...BOOK.matchAll(/```sh\n\s*# (.*)\n([^`]*)```/g)].find((match) => match[1] === title);
  if (!found?.[2]) throw new Error(`the page has no block "${title}"`);
  typed.add(title);
  return found[2];
}

/** Runs commands in one bash, as the user that runs Postgres and may read the folder of the project. */
async function type(environment: Environment, title: string, commands = block(title)): Promise<string> {
  const shell = toolsEnvironment(tools);
  const serverUrl = Object.assign(new URL(environment.MIGRATION_DATABASE_URL as string), {
    pathname: '/postgres',
  }).href;
  const path = `${dirname(process.execPath)}:${shell.PATH}`;
  const [program = '', ...args] = [...wrapUnprivileged(), 'bash', '-ec', `exec 2>&1\n${here(commands)}`];
  const child = spawn(program, args, {
    env: { ...environment, ...shell, PATH: path, SERVER_URL: serverUrl } as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = new Promise((resolve) => child.once('close', resolve));
  const output = await text(child.stdout);
  expect(await exit, `${title}\n${commands}\n${output}`).toBe(0);
  return output;
}

async function query(
  environment: Environment,
  text: string,
  values: unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: environment.MIGRATION_DATABASE_URL });
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

async function recorded(environment: Environment): Promise<void> {
  const left = "SELECT FROM outbox WHERE topic = 'audit'";
  await eventually(async () => (await query(environment, left)).length === 0, 60_000);
}

/** The first cursor, or the reason why the server rejects this one. */
async function watch(port: number, cursor: string): Promise<string> {
  const client = createClient(VerifierService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
  const abort = new AbortController();
  try {
    const headers = { authorization: `Bearer ${SERVICE_KEY}` };
    for await (const message of client.watch({ cursor, version: 1 }, { signal: abort.signal, headers })) {
      if (message.cursor !== '') return message.cursor;
    }
    return 'ended';
  } catch (error) {
    return (error as ConnectError).findDetails(ErrorInfoSchema)[0]?.reason ?? String(error);
  } finally {
    abort.abort();
  }
}

const refresh = async (call: Caller, person: SignedIn) =>
  (await call(auth.refresh, { refreshToken: person.refreshToken })).reason ?? 'ok';

describe('a dump', () => {
  test('is restored into a new cluster, which has neither role nor login, and the service continues there', async () => {
    const person = await signedIn(old.call);
    const signedOut = await signedIn(old.call);
    await old.call(auth.logout, { refreshToken: signedOut.refreshToken });
    await recorded(old.environment);
    const cursor = await watch(old.app.port as number, '');
    await type(old.environment, 'Back up');
    const late = await signedIn(old.call);

    const server = await startDebianPostgres(tools, join(folder, 'new'));
    newServer = server;
    const environment = await environmentOn(server.url);
    const output = await type(environment, 'Restore into a new cluster');
    expect(output).toMatch(/^schema +ok/m);
    expect(output).toMatch(/^database role +ok/m);
    expect(output).toContain('the audit trail is whole');
    const restored = await serve(environment);
    try {
      expect(await refresh(restored.call, person)).toBe('ok');
      expect((await restored.call(auth.login, person)).code).toBe('ok');
      expect(await refresh(restored.call, late)).toBe('REFRESH_TOKEN_INVALID');
      const { accessToken } = person;
      expect((await restored.call(auth.verify, { accessToken })).code).toBe('ok');
      const verified = await restored.call(auth.verify, { accessToken: signedOut.accessToken });
      expect(verified.reason).toBe('TOKEN_REVOKED');
      expect(await watch(restored.app.port as number, cursor)).toBe('CURSOR_TOO_OLD');
      expect(await watch(restored.app.port as number, '')).not.toBe(cursor);
      await recorded(environment);
      expect(await type(environment, 'audit', 'node src/main.ts audit verify')).toContain('the audit trail is whole');
    } finally {
      await restored.app.close();
    }
  }, 240_000);

  test('that was restored with privileges, which fail because the role is missing, is repaired by migrate', async () => {
    const environment = await environmentOn(newServer.url);
    await query(environment, 'DROP OWNED BY latchkey_service');
    const careless = `
      psql "$SERVER_URL" --command='DROP DATABASE latchkey' --command='DROP ROLE latchkey' --command='DROP ROLE latchkey_service'
      createdb --maintenance-db="$SERVER_URL" latchkey
      pg_restore --no-owner --dbname="$MIGRATION_DATABASE_URL" latchkey.dump || echo 'pg_restore failed'
      node src/main.ts migrate --service-login
      node src/main.ts doctor`;
    const output = await type(environment, 'careless', careless);
    expect(output).toMatch(/role "latchkey_service" does not exist.*pg_restore failed/s);
    expect(output).toMatch(/^database role +ok/m);
  }, 120_000);
});

describe('a moment', () => {
  test('comes back from the archive: what was issued later is invalid, and what was revoked later is not', async () => {
    const [before, ended] = [await signedIn(old.call), await signedIn(old.call)];
    await recorded(old.environment);
    await type(old.environment, 'Take a base backup');
    const [{ moment } = {}] = await query(
      old.environment,
      "SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS.US+00') AS moment",
    );
    // Recovery stops at the first commit after the moment.
    const late = await signedIn(old.call);
    await old.call(auth.logout, { refreshToken: ended.refreshToken });
    expect(await refresh(old.call, ended)).toBe('SESSION_ENDED');
    const [{ wal } = {}] = await query(old.environment, 'SELECT pg_walfile_name(pg_switch_wal()) AS wal');
    // A file that is in the archive may not be whole yet.
    const archived = 'SELECT last_archived_wal >= $1 AS done FROM pg_stat_archiver';
    await eventually(async () => (await query(old.environment, archived, [wal]))[0]?.done, 60_000);

    const port = await freePort();
    const commands = block('Restore to a moment')
      .replace(/2026-\S+ \S+\+00/, String(moment))
      // The folder of Debian's package is not for every user.
      .replace('-p 5432', `-p ${port} -k ${folder}`);
    await type(old.environment, 'Restore to a moment', commands);
    const environment = await environmentOn(Object.assign(new URL(old.server.url), { port }).href);
    try {
      const output = await type(environment, 'Look at what came back');
      expect(output).toMatch(/^schema +ok/m);
      expect(output).toContain('the audit trail is whole');
      const restored = await serve(environment);
      try {
        expect(await refresh(restored.call, before)).toBe('ok');
        expect(await refresh(restored.call, late)).toBe('REFRESH_TOKEN_INVALID');
        expect(await refresh(restored.call, ended)).toBe('ok');
        expect((await restored.call(auth.login, { ...late })).code).toBe('unauthenticated');
        expect((await restored.call(auth.verify, { accessToken: late.accessToken })).code).toBe('ok');
        await type(environment, 'End every session');
        const again = await signedIn(restored.call);
        expect(await refresh(restored.call, again)).toBe('ok');
        const { reason } = await restored.call(auth.verify, { accessToken: before.accessToken });
        expect(reason).toBe('TOKEN_REVOKED');
      } finally {
        await restored.app.close();
      }
    } finally {
      await type(environment, 'stop', 'pg_ctl --pgdata=/restore/data --mode=immediate --wait stop');
    }
  }, 240_000);
});

describe('a release', () => {
  test('is taken back without a change to the schema', async () => {
    const person = await registered(old.call);
    expect(await type(old.environment, 'Upgrade')).toContain('"msg":"migrated"');
    await query(old.environment, "INSERT INTO schema_migrations VALUES ('9999_newer', repeat('0', 64))");
    const output = await type(old.environment, 'Roll back, with the old release');
    expect(output).toContain('a newer release has migrated the database');
    expect(output).toMatch(/^schema +ok/m);
    expect((await old.call(auth.login, person)).code).toBe('ok');
  }, 120_000);
});

test('every block of the page was typed', () => {
  const titles = [...BOOK.matchAll(/```sh\n\s*# (.*)\n/g)].map((match) => match[1] as string);
  expect(titles.filter((title) => !typed.has(title))).toEqual([]);
  expect(BOOK.match(/```sh/g)).toHaveLength(titles.length);
});
