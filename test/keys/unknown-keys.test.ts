// Unknown API keys against the real store: the statements that they cost, and their effect on genuine keys.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { apiKeyHash, newApiKey } from '../../src/domain/api-key.ts';
import { AuthError } from '../../src/domain/auth-error.ts';
import { type ApiKeys, createApiKeys } from '../../src/keys/api-keys.ts';
import { type Db, openDatabase } from '../../src/store/postgres/database.ts';
import { createServiceAccounts } from '../../src/store/service-accounts.ts';
import { createTestDatabase } from '../support/databases.ts';

let db: Db;
let owner: pg.Pool;
/** The statements since the test began, each as its number of keys. */
let statements: number[];
let apiKeys: ApiKeys;

beforeAll(async () => {
  const { serviceUrl, ownerUrl } = await createTestDatabase();
  db = openDatabase({ url: serviceUrl, poolSize: 4, statementTimeoutMs: 5_000 }, () => {});
  owner = new pg.Pool({ connectionString: ownerUrl, max: 1 });
});
afterAll(async () => {
  await db.destroy();
  await owner.end();
});
beforeEach(() => {
  statements = [];
  apiKeys = openApiKeys();
});

/** The API keys as another process caches them. */
function openApiKeys(): ApiKeys {
  const store = createServiceAccounts(db, randomUUID, () => new Date());
  return createApiKeys({
    useKeys: (hashes) => {
      statements.push(hashes.length);
      return store.useKeys(hashes);
    },
  });
}

async function newKey(): Promise<string> {
  const key = newApiKey();
  const { rows } = await owner.query(
    "INSERT INTO service_accounts VALUES (gen_random_uuid(), $1, '', now(), '') RETURNING id",
    [`robot-${randomUUID().slice(0, 8)}`],
  );
  await owner.query(
    "INSERT INTO api_keys VALUES (gen_random_uuid(), $1, '', $2, now(), '', now() + interval '1 day')",
    [rows[0].id, apiKeyHash(key)],
  );
  return key;
}

const from = (address: string) => ({
  origin: { address, userAgent: '', requestId: '' },
  signal: new AbortController().signal,
});
const here = from('192.0.2.7');
const open = (key: string, call = here) => apiKeys.lookUp(key, call);
const reasonOf = (error: unknown) => (error instanceof AuthError ? error.reason : String(error));

/** Looks up a few keys each millisecond for this time, each key once. Returns the outcome of each. */
async function flood(durationMs: number, call = here): Promise<string[]> {
  const outcomes: Promise<string>[] = [];
  const end = performance.now() + durationMs;
  while (performance.now() < end) {
    for (let n = 0; n < 5; n += 1) {
      outcomes.push(open(newApiKey(), call).then((holder) => (holder ? 'valid' : 'invalid'), reasonOf));
    }
    await sleep(1);
  }
  return Promise.all(outcomes);
}

describe('an unknown key', () => {
  test('costs its network one statement a second, for every method and spelling of the network', async () => {
    const began = performance.now();
    const ask = (address: string) => apiKeys.lookUpFresh(newApiKey(), from(address));
    for (let n = 0; n < 3; n += 1) {
      const all = [open(newApiKey()), ask('192.0.2.200'), ask('::ffff:192.0.2.9'), open(newApiKey())];
      expect(await Promise.all(all)).toEqual([null, null, null, null]);
    }
    expect(performance.now() - began).toBeGreaterThan(1_990);
    expect(statements.length).toBeLessThanOrEqual(3);
  });

  test('is looked up with the other keys of its /48', async () => {
    await open(newApiKey(), from('2001:db8:1::1'));
    await Promise.all(['2001:db8:1:2::1', '2001:db8:1:ffff::1'].map((address) => open(newApiKey(), from(address))));
    expect(statements).toEqual([1, 2]);
  });

  test('does not delay another network', async () => {
    await open(newApiKey());
    const began = performance.now();
    await open(newApiKey(), from('192.0.3.7'));
    expect(performance.now() - began).toBeLessThan(500);
    expect(statements).toEqual([1, 1]);
  });

  test('is valid as soon as it has been created, even after an earlier look-up', async () => {
    const key = newApiKey();
    expect(await open(key)).toBe(null);
    await owner.query("INSERT INTO service_accounts VALUES (gen_random_uuid(), 'late', '', now(), '')");
    await owner.query(
      `INSERT INTO api_keys SELECT gen_random_uuid(), id, '', $1, now(), '', now() + interval '1 day'
        FROM service_accounts WHERE name = 'late'`,
      [apiKeyHash(key)],
    );
    const began = performance.now();
    expect(await open(key)).toMatchObject({ name: 'late' });
    expect(performance.now() - began).toBeLessThan(1_500);
  });
});

describe('a genuine key', () => {
  test('is found at once by a process that has not cached it, and does not delay others of its network', async () => {
    const keys = await Promise.all(Array.from({ length: 20 }, newKey));
    const began = performance.now();
    for (const key of keys) expect(await open(key)).not.toBe(null);
    expect(performance.now() - began).toBeLessThan(900);
  });

  test('that is in use is never delayed by a flood from its network', async () => {
    const key = await newKey();
    await open(key);
    const flooding = flood(2_500);
    let slowest = 0;
    for (const end = performance.now() + 2_400; performance.now() < end; await sleep(20)) {
      const began = performance.now();
      expect(await open(key)).not.toBe(null);
      slowest = Math.max(slowest, performance.now() - began);
    }
    expect(slowest).toBeLessThan(400);
    await flooding;
  });

  test('that is not cached succeeds within a few attempts during a flood from its network', async () => {
    const key = await newKey();
    const flooding = flood(6_000);
    await sleep(200);
    let tries = 0;
    let found = null;
    while (!found && tries < 100) {
      tries += 1;
      found = await open(key).catch(() => null);
      if (!found) await sleep(50);
    }
    expect(found).not.toBe(null);
    await flooding;
  }, 20_000);

  test('is looked up once for all calls that wait for it', async () => {
    const key = await newKey();
    const holders = await Promise.all(Array.from({ length: 50 }, () => open(key)));
    expect(holders.every((holder) => holder !== null)).toBe(true);
    expect(statements).toEqual([1]);
  });

  test('that was revoked is rejected within a second, and is unknown from then on', async () => {
    const key = await newKey();
    await open(key);
    await owner.query('UPDATE api_keys SET revoked_at = now() WHERE hash = $1', [apiKeyHash(key)]);
    expect(await apiKeys.lookUpFresh(key, here)).toBe(null);
    await sleep(500);
    expect(await open(key)).toBe(null);
    statements = [];
    await Promise.all(Array.from({ length: 20 }, () => open(key)));
    expect(statements.length).toBeLessThanOrEqual(1);
  });
});

test('a flood costs one bounded statement a second, and further calls receive a retry delay', async () => {
  const outcomes = await flood(3_000);
  expect(outcomes.length).toBeGreaterThan(1_000);
  expect(new Set(outcomes)).toEqual(new Set(['invalid', 'OVERLOADED']));
  expect(statements.length).toBeLessThanOrEqual(5);
  expect(Math.max(...statements)).toBeLessThanOrEqual(256);
});

test('a bounded number of calls can wait for one unknown key', async () => {
  await open(newApiKey());
  const key = newApiKey();
  const outcomes = await Promise.all(Array.from({ length: 3_000 }, () => open(key).catch(reasonOf)));
  expect(outcomes.filter((outcome) => outcome === null)).toHaveLength(1_001);
  expect(outcomes.filter((outcome) => outcome === 'OVERLOADED')).toHaveLength(1_999);
  expect(statements).toEqual([1, 1]);
});

test('thousands of networks at once share statements, one at a time', async () => {
  const key = await newKey();
  const networks = Array.from({ length: 9_000 }, (_, n) => from(`10.${n >> 8}.${n & 255}.1`));
  const outcomes = Promise.all(networks.map((network) => open(newApiKey(), network)));
  const began = performance.now();
  expect(await open(key)).not.toBe(null);
  expect(performance.now() - began).toBeLessThan(2_000);
  expect(new Set(await outcomes)).toEqual(new Set([null]));
  expect(statements.length).toBeLessThanOrEqual(20);
});
