// The missed events of a watcher, in pages: together they are the events of one read, for any size of the pages.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RevocationEvent } from '../../src/domain/revocation-event.ts';
import { type Db, openDatabase } from '../../src/store/postgres/database.ts';
import { createRevocationEvents, type RevocationEvents, type Snapshot } from '../../src/store/revocation-events.ts';
import { createTestDatabase, type TestDatabase } from '../support/databases.ts';

let database: TestDatabase;
let db: Db;
let owner: pg.Pool;
let revocationEvents: RevocationEvents;
let beforeAllEvents: Snapshot;
let betweenEvents: Snapshot;

/** Events of one transaction, which have one xid. */
const INSERT = `INSERT INTO changes (kind, session_id)
  SELECT 'session_ended', gen_random_uuid() FROM generate_series(1, $1::int)`;

beforeAll(async () => {
  database = await createTestDatabase();
  db = openDatabase({ url: database.serviceUrl, poolSize: 2, statementTimeoutMs: 5_000 }, () => {});
  owner = new pg.Pool({ connectionString: database.ownerUrl, max: 3 });
  revocationEvents = createRevocationEvents(db);
  const slow = await owner.connect();
  beforeAllEvents = (await revocationEvents.inForce()).snapshot;
  await owner.query(INSERT, [7]);
  // The ids of this transaction are lower than those of the next, and it commits after the snapshot.
  await slow.query('BEGIN');
  await slow.query(INSERT, [6]);
  await owner.query(INSERT, [5]);
  betweenEvents = (await revocationEvents.inForce()).snapshot;
  await slow.query('COMMIT');
  slow.release();
  for (const count of [1, 4, 1]) await owner.query(INSERT, [count]);
});
afterAll(async () => {
  await db.destroy();
  await owner.end();
});

async function inPages(snapshot: Snapshot | null, atMost: number): Promise<RevocationEvent[][]> {
  const pages: RevocationEvent[][] = [];
  let first: string | null = null;
  do {
    const page = await revocationEvents.page(snapshot, first, atMost);
    if (!page) throw new Error('the snapshot is of another history');
    pages.push(page.events);
    first = page.next;
  } while (first !== null);
  return pages;
}

const LIMITS = [1, 2, 3, 4, 6, 8, 12, 23, 24, 25];

test.each(LIMITS)('all events in force, at most %i in a page', async (atMost) => {
  const { events } = await revocationEvents.inForce();
  const pages = await inPages(null, atMost);
  expect(events).toHaveLength(24);
  expect(pages.flat()).toEqual(events);
  // Each page but the last is full, and no empty page follows a full one.
  expect(pages.map(({ length }) => length)).toEqual(fullPages(24, atMost));
});

test.each(LIMITS)('the events since a snapshot, at most %i in a page', async (atMost) => {
  const all = (await revocationEvents.inForce()).events;
  // Those of the transaction that committed late, and those of the last three.
  const missed = [...all.slice(7, 13), ...all.slice(18)];
  const pages = await inPages(betweenEvents, atMost);
  expect(pages.flat()).toEqual(missed);
  expect(pages.map(({ length }) => length)).toEqual(fullPages(12, atMost));
  expect((await revocationEvents.since(betweenEvents))?.events).toEqual(missed);
});

test('a snapshot from before all events has them all, and a new one has none', async () => {
  const { events, snapshot } = await revocationEvents.inForce();
  expect((await inPages(beforeAllEvents, 5)).flat()).toEqual(events);
  expect(await inPages(snapshot, 5)).toEqual([[]]);
});

test('an event that is not committed is on no page', async () => {
  const slow = await owner.connect();
  await slow.query('BEGIN');
  await slow.query(INSERT, [3]);
  const pages = await inPages(betweenEvents, 4);
  await slow.query('ROLLBACK');
  slow.release();
  expect(pages.map(({ length }) => length)).toEqual([4, 4, 4]);
});

function fullPages(count: number, atMost: number): number[] {
  const pages = Array.from({ length: Math.floor(count / atMost) }, () => atMost);
  return count % atMost === 0 ? pages : [...pages, count % atMost];
}
