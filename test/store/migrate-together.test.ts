// Several init containers start together on an empty server, and all of them succeed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/dev/embedded-postgres.ts';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { runMain } from '../support/processes.ts';

const PROCESSES = 6;

let folder: string;
let postgres: EmbeddedPostgres;
let admin: pg.Client;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-together-'));
  postgres = await startEmbeddedPostgres(folder, { fsync: 'off' });
  admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
}, 60_000);
afterAll(async () => {
  await admin.end();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** An empty server: neither databases nor roles. */
beforeEach(async () => {
  for (const name of ['one', 'two']) await admin.query(`DROP DATABASE IF EXISTS ${name}`);
  for (const role of ['latchkey_service', 'app']) await admin.query(`DROP ROLE IF EXISTS ${role}`);
});

function environment(database: string): Record<string, string> {
  const owner = new URL(postgres.url);
  owner.pathname = `/${database}`;
  const service = new URL(owner);
  Object.assign(service, { username: 'app', password: 'secret' });
  return { MIGRATION_DATABASE_URL: owner.href, DATABASE_URL: service.href };
}

/** Runs the command in one process for each of these databases, all at once. */
async function together(databases: string[], ...args: string[]) {
  const processes = databases.map((database) => runMain(['migrate', ...args], environment(database)));
  return Promise.all(processes.map(async ({ ended, output }) => ({ exit: await ended, output: output() })));
}

/** The service's login can connect and read. */
async function expectUsable(database: string): Promise<void> {
  const client = new pg.Client({ connectionString: environment(database).DATABASE_URL as string });
  await client.connect();
  expect((await client.query('SELECT count(*) FROM users')).rows).toEqual([{ count: '0' }]);
  await client.end();
}

test('with --service-login: one creates the database, the schema and the login, and all succeed', async () => {
  const results = await together(Array(PROCESSES).fill('one'), '--service-login');
  expect(results.filter(({ exit }) => exit !== 0)).toEqual([]);
  expect(results.filter(({ output }) => output.includes('0001_baseline'))).toHaveLength(1);
  await expectUsable('one');
}, 120_000);

test('without it: the role and the schema are created once, and all succeed', async () => {
  await admin.query('CREATE DATABASE one');
  const results = await together(Array(PROCESSES).fill('one'));
  expect(results.filter(({ exit }) => exit !== 0)).toEqual([]);
  expect(results.filter(({ output }) => output.includes('0001_baseline'))).toHaveLength(1);
}, 120_000);

test('in one process at the same moment: one applies the migrations, and all succeed', async () => {
  const { MIGRATION_DATABASE_URL: owner = '', DATABASE_URL: service = '' } = environment('one');
  const results = await Promise.all(Array.from({ length: PROCESSES }, () => prepareDatabase(owner, service)));
  expect(results.filter(({ applied }) => applied.length > 0)).toHaveLength(1);
  await expectUsable('one');
}, 120_000);

test('on two databases of one cluster, which share their roles: all succeed', async () => {
  const results = await together(['one', 'two', 'one', 'two', 'one', 'two'], '--service-login');
  expect(results.filter(({ exit }) => exit !== 0)).toEqual([]);
  await expectUsable('one');
  await expectUsable('two');
}, 120_000);
