import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { queryAuditEvents } from '../../src/admin/query-audit-events.ts';
import { searchUsers } from '../../src/admin/search-users.ts';
import { accountHash } from '../../src/domain/account-hash.ts';
import type { Email } from '../../src/domain/email.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createStore } from '../../src/store/store.ts';
import { EVERY_EVENT, LIST_MEASURES, SEARCH_MEASURES } from '../bench/scale-measures.ts';
import { type Person, randomPeople, type Side } from '../bench/scale-side.ts';
import { createTestDatabase } from '../support/databases.ts';
import { fillWithAccounts } from '../support/many-accounts.ts';

const USERS = 20_000;
/** A search examines 2,000 entries of an index, and looks up the user and the roles of each. */
const READ_BY_A_SEARCH = 9_000;
/** A page of housekeeping is 1,000 rows, which are read twice, and small tables are read as a whole. */
const READ_BY_A_LIST = 3_500;
/** The users that have had an email are those of its 2,000 oldest and newest events. Without a bound, 18,000 are read. */
const READ_FOR_AN_EMAIL = 6_000;

const { ownerUrl, serviceUrl } = await createTestDatabase();
const db = openDatabase({ url: serviceUrl, poolSize: 1, statementTimeoutMs: 30_000 }, () => {});
const owner = new pg.Pool({ connectionString: ownerUrl, max: 1 });
const purposeKeys = derivePurposeKeys([randomBytes(32), randomBytes(32)]);
const store = createStore(db, randomUUID, () => new Date());
let side: Side;
/** Tables of a few rows do not count: their plan depends on the hour, as does the partition of audit events of a new month. */
let tables: string[];
const FEW_ROWS = 100;

beforeAll(async () => {
  await fillWithAccounts(ownerUrl, { users: USERS, sessionsEach: 1, passwordHash: '$2b$10$x' });
  const { rows } = await owner.query<{ id: string }>(
    "SELECT oid::text AS id FROM pg_class WHERE relnamespace = 'public'::regnamespace AND reltuples >= $1",
    [FEW_ROWS],
  );
  tables = rows.map(({ id }) => id);
  const people = randomPeople(owner, USERS);
  side = {
    ...{ users: USERS, store, purposeKeys, db, owner, people, hundred: await people(100) },
    call: noCall,
    url: '',
    close: noCall,
  };
}, 120_000);
afterAll(async () => {
  await Promise.all([db.destroy(), owner.end()]);
});

const noCall = () => Promise.reject(new Error('no server runs'));

/** Entries of indexes and rows of scanned tables, by the statistics of Postgres. */
async function rowsRead(): Promise<number> {
  // Otherwise what a connection has read is added up to a second later.
  await db.executeQuery({ sql: 'SELECT pg_stat_force_next_flush()', parameters: [] } as never);
  await owner.query('SELECT pg_stat_force_next_flush()');
  const { rows } = await owner.query(
    `SELECT sum(seq_tup_read + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid))::int
       AS read
     FROM pg_stat_user_tables AS t WHERE relid = ANY($1::oid[])`,
    [tables],
  );
  return rows[0].read;
}

describe.each([
  { measures: SEARCH_MEASURES, atMost: READ_BY_A_SEARCH },
  { measures: LIST_MEASURES, atMost: READ_BY_A_LIST },
])(`among ${USERS} users at most $atMost rows are read`, ({ measures, atMost }) => {
  test.each(measures)('$name', async ({ run, prepare }) => {
    const [person] = await side.people(1);
    if (!person) throw new Error('the database has no users');
    await prepare?.(side);
    const before = await rowsRead();
    await run(side, person);
    const read = (await rowsRead()) - before;
    expect(read).toBeLessThanOrEqual(atMost);
  });
});

describe('short pages of a search', () => {
  const searched = async (filter: { emailPrefix?: string; role?: string; disabled?: boolean }) => {
    const input = { emailPrefix: '', role: '', disabled: null, pageSize: 100, ...filter };
    const found: { id: string; email: string }[] = [];
    let pages = 0;
    let pageToken = '';
    do {
      const page = await searchUsers({ store }, { ...input, pageToken });
      found.push(...page.users.map(({ user }) => user));
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== '');
    return { found, pages };
  };
  const expected = async (where: string, order: string) =>
    (await owner.query(`SELECT id FROM users WHERE ${where} ORDER BY ${order}`)).rows.map(({ id }) => id);
  const holds = (role: string) => `'${role}' = ANY(roles_of_user(id, now()))`;

  test.each([
    { filter: { disabled: true }, where: 'disabled_at IS NOT NULL' },
    { filter: { emailPrefix: 'ab' }, where: "email LIKE 'ab%'" },
    { filter: { emailPrefix: 'a', disabled: true }, where: "email LIKE 'a%' AND disabled_at IS NOT NULL" },
    { filter: { emailPrefix: 'a', disabled: false }, where: "email LIKE 'a%' AND disabled_at IS NULL" },
    { filter: { role: 'pilot' }, where: holds('pilot') },
    { filter: { role: 'reader' }, where: holds('reader') },
    { filter: { role: 'trial' }, where: holds('trial') },
    { filter: { role: 'beta', disabled: true }, where: `${holds('beta')} AND disabled_at IS NOT NULL` },
    { filter: { role: 'user', disabled: true }, where: 'disabled_at IS NOT NULL' },
    { filter: { emailPrefix: 'a', role: 'trial' }, where: `email LIKE 'a%' AND ${holds('trial')}` },
    { filter: { emailPrefix: 'a', role: 'pilot' }, where: `email LIKE 'a%' AND ${holds('pilot')}` },
  ])('find each user once, in order: $filter', async ({ filter, where }) => {
    const { found } = await searched(filter);
    const order = 'emailPrefix' in filter ? 'email COLLATE "C"' : 'id';
    expect(found.map(({ id }) => id)).toEqual(await expected(where, order));
  });

  test('end with an empty page when no further user matches', async () => {
    await owner.query("UPDATE user_roles SET expires_at = now() - interval '1 day' WHERE role = 'beta'");
    await owner.query("INSERT INTO roles (name, description) VALUES ('gone', '')");
    await owner.query(
      "INSERT INTO user_roles (user_id, role, granted_at, expires_at) SELECT id, 'gone', now(), now() - interval '1 day' FROM users LIMIT 5000",
    );
    const { found, pages } = await searched({ role: 'gone' });
    expect(found).toEqual([]);
    expect(pages).toBe(3);
  });
});

describe('an email whose account was attacked', () => {
  const ATTEMPTS = 9_000;
  const email = 'attacked@people.example' as Email;
  const input = { ...EVERY_EVENT, pageSize: 50, pageToken: '' };
  /** The user that had the email before the attack. */
  let former: Person;

  beforeAll(async () => {
    const [person] = await side.people(100);
    if (!person) throw new Error('the database has no users');
    former = person;
    const account = accountHash(email, purposeKeys.accountHash);
    await owner.query(`UPDATE audit_events SET account = $1, user_id = NULL WHERE seq > $2 AND user_id <> $3`, [
      account,
      USERS / 2 - ATTEMPTS,
      former.id,
    ]);
    await owner.query('UPDATE audit_events SET account = $1, user_id = $2 WHERE seq = $3', [
      account,
      former.id,
      USERS / 2 - ATTEMPTS + 1,
    ]);
    await owner.query('ANALYZE audit_events');
  });

  test('is found at a bounded cost, in pages of the newest first, with each event once', async () => {
    const before = await rowsRead();
    let page = await queryAuditEvents(side, { ...input, email });
    expect((await rowsRead()) - before).toBeLessThanOrEqual(READ_FOR_AN_EMAIL);
    const seqs = page.events.map(({ seq }) => seq);
    while (page.nextPageToken !== '') {
      page = await queryAuditEvents(side, { ...input, email, pageSize: 100, pageToken: page.nextPageToken });
      seqs.push(...page.events.map(({ seq }) => seq));
    }
    const { rows } = await owner.query<{ seq: string }>(
      'SELECT seq FROM audit_events WHERE account IS NOT NULL OR user_id = $1 ORDER BY seq DESC',
      [former.id],
    );
    expect(seqs.map(String)).toEqual(rows.map(({ seq }) => seq));
    expect(seqs.length).toBeGreaterThanOrEqual(ATTEMPTS);
  });
});

test('the newest events of the address that has caused all of them are read without the others', async () => {
  const before = await rowsRead();
  const { events } = await queryAuditEvents(side, { ...EVERY_EVENT, network: '192.0.2.7', pageSize: 5, pageToken: '' });
  expect(events).toHaveLength(5);
  expect((await rowsRead()) - before).toBeLessThanOrEqual(100);
});

test('a network without events is looked up by its addresses', async () => {
  const before = await rowsRead();
  const query = { ...EVERY_EVENT, pageSize: 5, pageToken: '' };
  for (const network of ['10.0.0.0/8', '2001:db8::/32', '193.0.0.0/24', '192.0.1.0/24']) {
    expect((await queryAuditEvents(side, { ...query, network })).events).toEqual([]);
  }
  expect((await rowsRead()) - before).toBeLessThanOrEqual(20);
  for (const network of ['192.0.2.0/24', '192.0.2.7/32', '0.0.0.0/0']) {
    expect((await queryAuditEvents(side, { ...query, network })).events).toHaveLength(5);
  }
});

test('a time finds events that were recorded long after they occurred', async () => {
  const hour = 3600_000;
  const { rows } = await owner.query<{ at: Date; seq: string }>(
    "SELECT occurred_at AS at, seq FROM audit_events WHERE recorded_at - occurred_at > '50 minutes' ORDER BY seq LIMIT 2",
  );
  for (const { at, seq } of rows) {
    const around = {
      ...EVERY_EVENT,
      from: new Date(at.getTime() - hour / 4),
      until: new Date(at.getTime() + hour / 4),
    };
    const found = await store.auditTrail.before(null, around, 100);
    const { rows: wanted } = await owner.query(
      'SELECT seq FROM audit_events WHERE occurred_at >= $1 AND occurred_at < $2 ORDER BY seq DESC LIMIT 100',
      [around.from, around.until],
    );
    expect(found.map((event) => String(event.seq))).toEqual(wanted.map((row) => row.seq));
    expect(found.map((event) => String(event.seq))).toContain(seq);
  }
  expect(rows).toHaveLength(2);
});
