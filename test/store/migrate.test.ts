// Migrations of a database to a release: a different history is rejected, and every migrate restores the privileges.
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Db, openDatabase } from '../../src/store/postgres/database.ts';
import { missingGrants } from '../../src/store/postgres/grants.ts';
import { migrate } from '../../src/store/postgres/migrate.ts';
import { type Migration, readMigrations } from '../../src/store/postgres/migration-files.ts';
import { readHistory, schemaProblem } from '../../src/store/postgres/migration-history.ts';
import { withMigrationLock } from '../../src/store/postgres/migration-lock.ts';
import { startTestApp } from '../support/app.ts';
import { createTestDatabase, createTestRedis, type TestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';
import { runMain } from '../support/processes.ts';

const RELEASE = await readMigrations(new URL('../../src/store/migrations/', import.meta.url));
const [BASELINE] = RELEASE as [Migration];

let database: TestDatabase;
let db: Db;
let owner: pg.Client;

beforeEach(async () => {
  database = await createTestDatabase();
  db = connect(database.ownerUrl);
  owner = new pg.Client({ connectionString: database.ownerUrl });
  await owner.connect();
});
afterEach(() => Promise.all([db.destroy(), owner.end()]));

function connect(url: string): Db {
  return openDatabase({ url, poolSize: 2, statementTimeoutMs: 60_000 }, () => {});
}

function migration(name: string, text: string): Migration {
  return { name, text, sha256: createHash('sha256').update(text).digest('hex') };
}

/** Runs the command on this test's database. */
async function command(args: string[], extra: Record<string, string> = {}) {
  const environment = { DATABASE_URL: database.serviceUrl, MIGRATION_DATABASE_URL: database.ownerUrl, ...extra };
  const { ended, output } = runMain(args, environment);
  return { exit: await ended, output: output() };
}

const LATER = migration('9001_later', 'CREATE TABLE later (x integer)');

describe('the history of a database', () => {
  test('has the SHA-256 of each migration that ran', async () => {
    const { rows } = await owner.query('SELECT name, sha256 FROM schema_migrations ORDER BY name');
    expect(rows).toEqual(RELEASE.map(({ name, sha256 }) => ({ name, sha256 })));
    expect(await schemaProblem(db)).toBeNull();
  });

  test('with a file that was changed afterwards is rejected, with the name of the file', async () => {
    const edited = [migration(BASELINE.name, `${BASELINE.text}-- edited\n`), ...RELEASE.slice(1)];
    await expect(migrate(db, { migrations: edited })).rejects.toThrow(
      'migration 0001_baseline was changed after it was applied to this database',
    );
    await owner.query("UPDATE schema_migrations SET sha256 = repeat('0', 64) WHERE name = '0001_baseline'");
    expect(await schemaProblem(db)).toContain('migration 0001_baseline was changed after it was applied');
    const { exit, output } = await command(['migrate']);
    expect({ exit, lines: output.trim().split('\n').length }).toEqual({ exit: 1, lines: 1 });
    expect(output).toContain('migration 0001_baseline was changed after it was applied to this database');
  });

  test('that differs makes a process not ready, with the name of the file', async () => {
    const app = await startTestApp({}, { api: true, worker: false });
    onTestFinished(() => app.close());
    const readiness = async () => {
      const response = await fetch(`${app.url}/readyz`);
      return { status: response.status, text: await response.text() };
    };
    expect((await readiness()).status).toBe(200);
    await app.owner.query("UPDATE schema_migrations SET sha256 = repeat('0', 64)");
    const { text } = await eventually(async () => {
      const seen = await readiness();
      return seen.status === 503 ? seen : null;
    });
    expect(text).toContain('migration 0001_baseline was changed after it was applied to this database');
  });

  test('from a newer release is accepted by an older service, and an older migrate changes nothing and logs it', async () => {
    expect(await migrate(db, { migrations: [...RELEASE, LATER] })).toEqual({ applied: ['9001_later'], newer: [] });
    expect(await schemaProblem(db)).toBeNull();
    await owner.query('REVOKE SELECT ON users FROM latchkey_service');
    expect(await migrate(db)).toEqual({ applied: [], newer: ['9001_later'] });
    expect((await owner.query("SELECT has_table_privilege('latchkey_service', 'users', 'SELECT') AS it")).rows).toEqual(
      [{ it: false }],
    );
    const { exit, output } = await command(['migrate']);
    expect(exit).toBe(0);
    expect(output).toContain('"migrations":["9001_later"],"msg":"a newer release has migrated the database');
  });

  test('with a migration of another line of releases is rejected', async () => {
    await migrate(db, { migrations: [...RELEASE, LATER] });
    const other = [...RELEASE, migration('9002_other', 'SELECT 1')];
    await expect(migrate(db, { migrations: other })).rejects.toThrow(
      'migration 9001_later, which this release does not have, was applied to this database',
    );
  });

  test('in which an earlier migration is missing is rejected', async () => {
    await migrate(db, { migrations: [...RELEASE, LATER] });
    const between = [...RELEASE, migration('9000_between', 'SELECT 1'), LATER];
    await expect(migrate(db, { migrations: between })).rejects.toThrow(
      'migration 9000_between was not applied to this database, although the later 9001_later was',
    );
  });

  test('stays as it was when one of several pending migrations fails', async () => {
    const broken = [...RELEASE, LATER, migration('9002_broken', 'CREATE TABLE other (x integer); SELECT 1 / 0')];
    await expect(migrate(db, { migrations: broken })).rejects.toThrow('migration 9002_broken: division by zero');
    expect((await readHistory(db)).newer).toEqual([]);
    const { rows } = await owner.query("SELECT to_regclass('later') AS later, to_regclass('other') AS other");
    expect(rows).toEqual([{ later: null, other: null }]);
  });

  test('without a table is the history of an empty database', async () => {
    const empty = await createTestDatabase('template0');
    await using other = connect(empty.ownerUrl);
    expect(await schemaProblem(other)).toBe(`migrations have not run: ${RELEASE.map(({ name }) => name).join(', ')}`);
  });

  test('from before the first release is rejected with one sentence, by migrate and by npm start', async () => {
    await owner.query('DROP TABLE schema_migrations');
    await owner.query(
      'CREATE TABLE schema_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL)',
    );
    const sentence =
      'this database was made before the first release, and its schema cannot be upgraded: ' +
      'delete .latchkey/dev (npm start), or give "migrate" an empty database\n';
    expect(await command(['migrate'])).toEqual({ exit: 1, output: sentence });
    const home = mkdtempSync(join(tmpdir(), 'latchkey-migrate-'));
    onTestFinished(() => rmSync(home, { recursive: true }));
    const started = await command(['dev'], {
      ...{ LATCHKEY_HOME: home, REDIS_URL: await createTestRedis(), PORT: '0', MAILBOX_PORT: '0' },
    });
    expect(started.exit).toBe(1);
    expect(started.output).toContain(sentence);
    expect(started.output).not.toContain(' at ');
  });
});

describe('a migrate that waits for another', () => {
  test('waits for a bounded time, and then names the remedy', async () => {
    await withMigrationLock(db, async () => {
      await expect(migrate(db, { lockWaitMs: 1_000 })).rejects.toThrow(
        /^another "migrate" has been working on this database for 1 s: run this one again when it has ended/,
      );
    });
    expect(await migrate(db)).toEqual({ applied: [], newer: [] });
  });
});

describe('a user from the dump of another cluster', () => {
  test('gets a new epoch with a role, also in the transaction whose number the dump has as that of the insert', async () => {
    const id = randomUUID();
    await owner.query("INSERT INTO users (id, email, full_name, created_at) VALUES ($1, $2, 'x', now())", [
      id,
      `${id}@x.example`,
    ]);
    const epochs = await eventually(async () => {
      // The update takes the number at which its snapshot ends.
      await owner.query(
        'UPDATE users SET created_xid = (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1)::text::xid8, claims_epoch = 1',
      );
      await owner.query('BEGIN');
      const { rows } = await owner.query('SELECT created_xid = pg_current_xact_id() AS same FROM users WHERE id = $1', [
        id,
      ]);
      await owner.query("INSERT INTO user_roles (user_id, role, granted_at) VALUES ($1, 'user', now())", [id]);
      const { rows: users } = await owner.query('SELECT claims_epoch FROM users WHERE id = $1', [id]);
      await owner.query('ROLLBACK');
      return rows[0].same && users;
    });
    expect(epochs).toEqual([{ claims_epoch: 2 }]);
  });
});

describe('the privileges of the service', () => {
  /** Everything that the service's role, and every role, can do in the schema. */
  const privileges = async () =>
    (
      await owner.query(`
        SELECT grantee, what FROM (VALUES ('public'), ('latchkey_service')) AS grantees (grantee),
          LATERAL (
            SELECT privilege || ' ' || relname AS what
            FROM pg_class, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) AS privilege
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
              AND has_table_privilege(grantee, pg_class.oid, privilege)
            UNION ALL SELECT 'UPDATE ' || attrelid::regclass || '.' || attname
            FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
              AND has_column_privilege(grantee, attrelid, attnum, 'UPDATE')
            UNION ALL SELECT 'EXECUTE ' || proname FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND has_function_privilege(grantee, oid, 'EXECUTE')
            UNION ALL SELECT privilege || ' public' FROM unnest('{USAGE,CREATE}'::text[]) AS privilege
            WHERE has_schema_privilege(grantee, 'public', privilege)) AS held
        ORDER BY 1, 2`)
    ).rows;

  test('come back with migrate when they are lost, also the functions that PUBLIC must not call', async () => {
    await using service = connect(database.serviceUrl);
    const before = await privileges();
    expect(await missingGrants(service)).toEqual([]);
    await owner.query('DROP OWNED BY latchkey_service');
    const missing = await missingGrants(service);
    expect(missing).toContain('SELECT on users');
    expect(missing).toContain('UPDATE on roles.description');
    await owner.query('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC');
    expect(await missingGrants(service)).toContain('EXECUTE on record_audit_events');
    await owner.query('GRANT ALL ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC');
    await migrate(db);
    expect(await missingGrants(service)).toEqual([]);
    expect(await privileges()).toEqual(before);
  });

  test('let no other role call a function that runs as the owner', async () => {
    const { rows } = await owner.query(`
      SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
        AND prorettype <> 'trigger'::regtype AND has_function_privilege('public', oid, 'EXECUTE')`);
    expect(rows).toEqual([]);
  });

  test('are given by grants.ts alone, so that no restore can lose one that a migration granted', () => {
    for (const { name, text } of RELEASE) expect(text.match(/^\s*(?:GRANT|REVOKE)\b.*/gim), name).toBeNull();
  });

  test('need no CREATEROLE where an administrator has created the role', async () => {
    const login = `plain_${randomUUID().replaceAll('-', '')}`;
    const server = new URL(database.ownerUrl);
    await owner.query(`CREATE ROLE ${login} LOGIN PASSWORD 'x'`);
    await owner.query(`CREATE DATABASE ${login} OWNER ${login} TEMPLATE template0`);
    Object.assign(server, { username: login, password: 'x', pathname: `/${login}` });
    await using plain = connect(server.href);
    expect((await migrate(plain)).applied).toEqual(RELEASE.map(({ name }) => name));
    expect((await migrate(plain)).applied).toEqual([]);
  });
});
