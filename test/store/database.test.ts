import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { decodeProtectedHeader } from 'jose';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { newSigningKey } from '../../src/keys/new-signing-key.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { createLogger } from '../../src/process/log.ts';
import { migrateDatabase, prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { createTestDatabase, type TestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';

const MIGRATIONS = readdirSync('src/store/migrations')
  .map((file) => file.replace('.sql', ''))
  .toSorted();

let database: TestDatabase;
let owner: pg.Client;
let service: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  owner = new pg.Client({ connectionString: database.ownerUrl });
  service = new pg.Client({ connectionString: database.serviceUrl });
  await Promise.all([owner.connect(), service.connect()]);
});
afterAll(() => Promise.all([owner.end(), service.end()]));

/** As the worker does it. */
async function recordEvent(payload: object): Promise<void> {
  const id = randomUUID();
  await service.query("INSERT INTO outbox (id, topic, payload, created_at) VALUES ($1, 'audit', $2, now())", [
    id,
    payload,
  ]);
  await service.query('SELECT record_audit_events($1)', [[id]]);
}

describe('the role of the service', () => {
  test.each([
    ['add an audit event outside the chain', 'INSERT INTO audit_events (seq) VALUES (1)'],
    ['move the end of the chain', 'UPDATE audit_chain SET seq = 0'],
    ['append an event of its own', "SELECT append_audit_event(gen_random_uuid(), now(), '{}')"],
    ['drop old events', 'SELECT drop_audit_events(now())'],
    ['change an audit event', "UPDATE audit_events SET type = 'x'"],
    ['delete an audit event', 'DELETE FROM audit_events'],
    ['empty the trail', 'TRUNCATE audit_events'],
    ['drop a partition', 'DROP TABLE audit_events_default'],
    ['change a partition directly', 'DELETE FROM audit_events_default'],
    ['alter a table', 'ALTER TABLE users ADD COLUMN x text'],
    ['make a table', 'CREATE TABLE x (y text)'],
    ['make a function', "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'"],
    ['delete a user', 'DELETE FROM users'],
    ['write the closure of roles', "INSERT INTO role_closure VALUES ('user', 'admin')"],
    ['reset the epoch of a role', 'UPDATE roles SET epoch = 0'],
    ['delete pending erasures', 'DELETE FROM erasures'],
    ['change a signing key', "UPDATE signing_keys SET kid = 'x'"],
    ['make a signing key sign sooner', 'UPDATE signing_keys SET signs_from = now()'],
    ['give a signing key another algorithm', "UPDATE signing_keys SET algorithm = 'ES256'"],
    ['remove a signing key', 'DELETE FROM signing_keys'],
    ['change the record of migrations', 'DELETE FROM schema_migrations'],
  ])('cannot %s', async (_, statement) => {
    await expect(service.query(statement)).rejects.toThrow(/permission denied|must be owner/);
  });

  test('cannot erase the addresses of an existing user, even by deleting and recreating them', async () => {
    const id = randomUUID();
    const bring = () =>
      service.query("INSERT INTO users (id, email, full_name, created_at) VALUES ($1, $2, 'x', now())", [
        id,
        `${id}@x.example`,
      ]);
    await bring();
    await recordEvent({ type: 'erased', userId: id, origin: { address: '192.0.2.1', userAgent: 'x', requestId: '' } });
    await service.query('SELECT delete_user($1)', [id]);
    await owner.query("UPDATE erasures SET deleted_at = deleted_at - interval '2 minutes'");
    await bring();
    const trace = async () => {
      await service.query('SELECT erase_traces(10)');
      return (await owner.query('SELECT address FROM audit_events WHERE user_id = $1', [id])).rows[0].address;
    };
    expect(await trace()).toBe('192.0.2.1');
    await service.query('SELECT delete_user($1)', [id]);
    expect(await trace()).toBe('');
  });

  test('is required at the start: the owner is rejected', async () => {
    const mailbox = await openTestMailbox();
    const environment = await testEnvironment(mailbox, { DATABASE_URL: database.ownerUrl });
    await expect(
      startApp(readConfig(environment), { api: true, worker: false }, createLogger('silent')),
    ).rejects.toThrow(/change audit events and alter the schema/);
    await mailbox.close();
  });
});

test('a login that can become the owner is rejected too', async () => {
  await owner.query(
    "CREATE ROLE sneaky LOGIN NOINHERIT PASSWORD 'p'; GRANT latchkey_owner, latchkey_service TO sneaky",
  );
  await owner.query('GRANT latchkey_service TO sneaky WITH INHERIT TRUE');
  const url = new URL(database.ownerUrl);
  [url.username, url.password] = ['sneaky', 'p'];
  const mailbox = await openTestMailbox();
  const environment = await testEnvironment(mailbox, { DATABASE_URL: url.href });
  await expect(startApp(readConfig(environment), { api: true, worker: false }, createLogger('silent'))).rejects.toThrow(
    /alter the schema/,
  );
  await mailbox.close();
});

describe('audit events', () => {
  test('are in monthly partitions that are created ahead', async () => {
    await service.query('SELECT ensure_audit_partitions()');
    const { rows } = await owner.query(
      "SELECT relid::text AS name FROM pg_partition_tree('audit_events') WHERE isleaf ORDER BY 1",
    );
    const names = rows.map((row) => row.name);
    expect(names).toHaveLength(4);
    expect(names.filter((name) => /^audit_events_\d{4}_\d{2}$/.test(name))).toHaveLength(3);
    expect(names).toContain('audit_events_default');
  });

  test('are stored also when their month has no partition', async () => {
    const month = `audit_events_${new Date().toISOString().slice(0, 7).replace('-', '_')}`;
    await recordEvent({ type: 'test' });
    await owner.query(`DROP TABLE ${month}`);
    await recordEvent({ type: 'test' });
    const { rows } = await owner.query(
      "SELECT tableoid::regclass::text AS partition FROM audit_events WHERE type = 'test'",
    );
    expect(rows).toEqual([{ partition: 'audit_events_default' }]);
    // Events in the default partition do not prevent the creation of the other partitions.
    await service.query('SELECT ensure_audit_partitions()');
  });
});

describe('roles', () => {
  const imply = (client: pg.Client, role: string, implies: string) =>
    client.query('INSERT INTO role_implications VALUES ($1, $2)', [role, implies]);

  test('cannot imply each other in a circle', async () => {
    await owner.query("INSERT INTO roles (name, description) VALUES ('a', ''), ('b', ''), ('c', '')");
    await expect(imply(owner, 'a', 'a')).rejects.toThrow('circle');
    await imply(owner, 'a', 'b');
    await imply(owner, 'b', 'c');
    await expect(imply(owner, 'c', 'a')).rejects.toThrow('circle');
    await owner.query("DELETE FROM role_implications WHERE role = 'b'");
    await owner.query('BEGIN');
    await imply(owner, 'b', 'c');
    const other = imply(service, 'c', 'a');
    const rejected = expect(other).rejects.toThrow('circle');
    await owner.query('COMMIT');
    await rejected;
    const { rows } = await owner.query("SELECT implied FROM role_closure WHERE role = 'a' ORDER BY 1");
    expect(rows.map(({ implied }) => implied)).toEqual(['a', 'b', 'c']);
  });
});

describe('the schema', () => {
  test('names every constraint', async () => {
    const { rows } = await owner.query(`
      SELECT conname, conrelid::regclass::text AS relation FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND conrelid::regclass::text NOT LIKE 'schema_migrations%'`);
    const unnamed = rows.filter(
      ({ conname, relation }) => !conname.startsWith(relation.replace(/_(default|\d{4}_\d{2})$/, '')),
    );
    expect(unnamed).toEqual([]);
    expect(rows.length).toBeGreaterThan(15);
  });

  test('is migrated once by parallel processes', async () => {
    const fresh = await createTestDatabase('template0');
    const ran = await Promise.all([1, 2, 3].map(() => migrateDatabase(fresh.ownerUrl)));
    expect(ran.flatMap(({ applied }) => applied)).toEqual(MIGRATIONS);
    expect(await migrateDatabase(fresh.ownerUrl)).toEqual({ applied: [], newer: [] });
  });

  test('and its database are created on an empty server', async () => {
    const url = new URL(database.ownerUrl);
    url.pathname = `/made_${Date.now()}`;
    const login = new URL(url);
    login.username = `login_${Date.now()}`;
    login.password = "it's a secret";
    expect((await prepareDatabase(url.href, login.href)).applied).toEqual(MIGRATIONS);
    expect((await prepareDatabase(url.href, login.href)).applied).toEqual([]);
    const client = new pg.Client({ connectionString: login.href });
    await client.connect();
    expect((await client.query('SELECT count(*) FROM users')).rows).toEqual([{ count: '0' }]);
    await client.end();
  });
});

describe('signing keys', () => {
  test('are not replaced until verifiers can have the new key', async () => {
    const fresh = await createTestDatabase();
    const mailbox = await openTestMailbox();
    const environment = { ...(await testEnvironment(mailbox)), DATABASE_URL: fresh.serviceUrl };
    const config = readConfig(environment);
    const encryptionKeys = derivePurposeKeys(config.keys.masterKeys).signingKeyEncryption;
    const old = await newSigningKey({ algorithm: 'EdDSA', signsFrom: new Date(), state: 'active' }, encryptionKeys);
    const client = new pg.Client({ connectionString: fresh.ownerUrl });
    await client.connect();
    await client.query(
      `INSERT INTO signing_keys (kid, algorithm, encrypted_private_key, state, created_at, signs_from, activated_at)
        SELECT $1, 'EdDSA', $2, 'active', at, at, at FROM (SELECT now() - interval '40 days' AS at) AS past`,
      [old.kid, old.encryptedPrivateKey],
    );
    const app = await startApp(config, { api: true, worker: true }, createLogger('silent'));
    const statesOf = async () => (await client.query('SELECT state FROM signing_keys ORDER BY created_at')).rows;
    await eventually(async () => (await statesOf()).length === 2, 10_000);
    // The key is older than thirty days, but verifiers must have its successor first.
    expect(await statesOf()).toEqual([{ state: 'active' }, { state: 'published' }]);
    const { accessToken } = await signedIn(viaFetch(`http://127.0.0.1:${app.port}`));
    expect(decodeProtectedHeader(accessToken).kid).toBe(old.kid);
    await app.close();
    await client.end();
    await mailbox.close();
  });

  test('are created once by processes that start together', async () => {
    const mailbox = await openTestMailbox();
    const environment = await testEnvironment(mailbox);
    const start = () => startApp(readConfig(environment), { api: true, worker: false }, createLogger('silent'));
    const apps = await Promise.all([start(), start(), start()]);
    const sets = await Promise.all(
      apps.map(async ({ port }) => (await fetch(`http://127.0.0.1:${port}/.well-known/jwks.json`)).text()),
    );
    expect(new Set(sets).size).toBe(1);
    expect(Object.keys(JSON.parse(sets[0] as string).keys[0]).toSorted()).toEqual([
      'alg',
      'crv',
      'kid',
      'kty',
      'use',
      'x',
      'y',
    ]);
    await Promise.all(apps.map((app) => app.close()));

    const other = {
      ...environment,
      MASTER_KEY: Buffer.from(Array.from({ length: 32 }, (_, n) => n * 7 + 1)).toString('base64'),
    };
    for (const parts of [
      { api: true, worker: false },
      { api: false, worker: true },
    ]) {
      await expect(startApp(readConfig(other), parts, createLogger('silent'))).rejects.toThrow(
        /cannot be decrypted with this MASTER_KEY/,
      );
    }
    await mailbox.close();
  });
});
