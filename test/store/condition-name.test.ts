// Errors of Postgres carry the names of its documentation and a remedy.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CONDITION_NAMES, conditionOf } from '../../src/process/condition-name.ts';
import { operatorMessage } from '../../src/process/operator-error.ts';
import { createTestDatabase, type TestDatabase } from '../support/databases.ts';
import { runMain } from '../support/processes.ts';

let database: TestDatabase;
let owner: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  owner = new pg.Client({ connectionString: database.ownerUrl });
  await owner.connect();
});
afterAll(() => owner.end());

async function thrownBy(statement: string): Promise<Error> {
  return owner.query(statement).then(
    () => {
      throw new Error(`${statement} did not fail`);
    },
    (error: Error) => error,
  );
}

/** PL/pgSQL raises conditions by their names. */
const raise = (condition: string) => thrownBy(`DO $$ BEGIN RAISE ${condition}; END $$`);

async function migrateAs(ownerUrl: string) {
  const { ended, output } = runMain(['migrate'], {
    DATABASE_URL: database.serviceUrl,
    MIGRATION_DATABASE_URL: ownerUrl,
  });
  return { exit: await ended, output: output() };
}

/** A login without any privileges, on this test's database. */
async function plainLogin(options: string): Promise<string> {
  const login = `plain_${randomUUID().replaceAll('-', '')}`;
  await owner.query(`CREATE ROLE ${login} LOGIN PASSWORD 'x' ${options}`);
  return Object.assign(new URL(database.ownerUrl), { username: login, password: 'x' }).href;
}

test('every name on the list is the name that Postgres gives the SQLSTATE', async () => {
  for (const [code, name] of Object.entries(CONDITION_NAMES)) {
    const error = await raise(name);
    expect([(error as pg.DatabaseError).code, conditionOf(error)]).toEqual([code, name]);
  }
});

test('a code that is not on the list is named by its SQLSTATE, and an error of another kind has no condition', async () => {
  expect(conditionOf(await thrownBy("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'ABCDE'; END $$"))).toBe('ABCDE');
  expect(conditionOf(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toBeNull();
});

describe('an operator reads the condition and the remedy', () => {
  test.each([
    ['read_only_sql_transaction', /the URL must lead to the primary/],
    ['disk_full', /the disk of the Postgres server is full/],
    ['too_many_connections', /lower DATABASE_POOL_SIZE, or raise max_connections/],
    ['lock_not_available', /another transaction locks the table/],
    ['cannot_connect_now', /run this again when it accepts connections/],
  ])('%s', async (name, remedy) => {
    const message = operatorMessage(await raise(name)) ?? '';
    expect(message).toMatch(new RegExp(`\\(${name}\\)\\n`));
    expect(message).toMatch(remedy);
  });

  test('a sentence without a stack, from migrate on a server that cannot be written to', async () => {
    await owner.query(
      `ALTER DATABASE ${new URL(database.ownerUrl).pathname.slice(1)} SET default_transaction_read_only = on`,
    );
    const { exit, output } = await migrateAs(database.ownerUrl);
    await owner.query(
      `ALTER DATABASE ${new URL(database.ownerUrl).pathname.slice(1)} RESET default_transaction_read_only`,
    );
    expect(exit).toBe(1);
    expect(output).toContain('read-only');
    expect(output).not.toMatch(/^\s+at /m);
  });

  test('insufficient_privilege, from migrate as a login without privileges', async () => {
    const { exit, output } = await migrateAs(await plainLogin(''));
    expect(exit).toBe(1);
    expect(output).toMatch(/\(insufficient_privilege\)\n.*MIGRATION_DATABASE_URL must be the owner of the schema.*\n$/);
  });

  test('too_many_connections, from migrate as a login whose connections are used up', async () => {
    const { exit, output } = await migrateAs(await plainLogin('CONNECTION LIMIT 0'));
    expect(exit).toBe(1);
    expect(output).toMatch(/\(too_many_connections\)\n/);
  });

  test('another condition, above the place of the defect', async () => {
    const fresh = await createTestDatabase('template0');
    const client = new pg.Client({ connectionString: fresh.ownerUrl });
    await client.connect();
    await client.query('CREATE TABLE users (id integer)');
    await client.end();
    const { exit, output } = await migrateAs(fresh.ownerUrl);
    expect(exit).toBe(1);
    expect(output).toMatch(/^migration 0001_baseline: relation "users" already exists \(duplicate_table\)\n\s+at /);
  });
});
