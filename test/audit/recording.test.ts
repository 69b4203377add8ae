// A worker moves audit events from the outbox to the trail in batches: each event once, and a faulty event affects no other.
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { processEnvironment, readConfig } from '../../src/config/config.ts';
import { startRelays } from '../../src/jobs/relay.ts';
import { createLogger } from '../../src/process/log.ts';
import { createAuditTrail } from '../../src/store/audit-trail.ts';
import { createOutbox, type OutboxRef } from '../../src/store/outbox.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { startTestApp, testApp } from '../support/app.ts';
import { writeAuditEvents } from '../support/audit-events.ts';
import { eventually } from '../support/eventually.ts';
import { runMain } from '../support/processes.ts';

const app = await testApp({}, { api: false, worker: true });

function openStore(url: string) {
  const db = openDatabase({ url, poolSize: 8, statementTimeoutMs: 5_000 }, () => {});
  onTestFinished(() => db.destroy());
  return db;
}

const waiting = async ({ owner } = app) =>
  (await owner.query('SELECT count(*)::int FROM outbox WHERE dead_at IS NULL')).rows[0].count as number;
const recorded = async (ids: string[], { owner } = app) =>
  (await owner.query('SELECT detail, xmin::text FROM audit_events WHERE id = ANY ($1) ORDER BY seq', [ids])).rows;

test('20,000 events are recorded in batches, each once, in their order, in one chain', async () => {
  const ids = await writeAuditEvents(app.owner, 20_000);
  await eventually(async () => (await waiting()) === 0, 60_000);
  const rows = await recorded(ids);
  expect(rows).toHaveLength(20_000);
  const batches = new Set(rows.map(({ xmin }) => xmin));
  expect(batches.size).toBeLessThan(200);
  // Two batches may change places, so the order is that of the outbox within each.
  for (const batch of batches) {
    const details = rows.filter(({ xmin }) => xmin === batch).map(({ detail }) => Number(detail));
    expect(details).toEqual(details.toSorted((a, b) => a - b));
  }
  const { DATABASE_URL, MIGRATION_DATABASE_URL } = app.environment;
  const verify = runMain(['audit', 'verify'], { DATABASE_URL, MIGRATION_DATABASE_URL });
  expect(await verify.ended).toBe(0);
  expect(verify.output()).toContain('the audit trail is whole');
}, 120_000);

test('events that Postgres rejects become dead letters with the reason, and the others are recorded', async () => {
  const { rows } = await app.owner.query(
    `INSERT INTO outbox (id, topic, payload, created_at)
      SELECT uuidv7(), 'audit', jsonb_build_object('type', CASE n WHEN 300 THEN NULL ELSE 'login_succeeded' END, 'detail', n::text,
        'userId', CASE n WHEN 7 THEN 'none' ELSE gen_random_uuid()::text END), now()
      FROM generate_series(1, 400) AS n RETURNING id, payload ->> 'detail' AS detail`,
  );
  const ids = rows.map(({ id }) => id as string);
  await eventually(async () => (await waiting()) === 0);
  expect(await recorded(ids)).toHaveLength(398);
  const dead = await app.owner.query(
    `SELECT payload ->> 'detail' AS detail, last_error FROM outbox WHERE dead_at IS NOT NULL ORDER BY id`,
  );
  expect(dead.rows).toEqual([
    { detail: '7', last_error: expect.stringContaining('invalid input syntax for type uuid: "none"') },
    { detail: '300', last_error: expect.stringContaining('null value in column "type"') },
  ]);
  expect(app.logs.filter((line) => line.includes('event cannot be recorded: dead letter'))).toHaveLength(2);
  await app.owner.query('DELETE FROM outbox');
});

test('while the end of the chain is locked events wait, and do not become dead letters', async () => {
  const locking = await app.owner.connect();
  await locking.query('BEGIN');
  await locking.query('SELECT FROM audit_chain FOR UPDATE');
  const ids = await writeAuditEvents(app.owner, 100);
  const [row] = await eventually(async () => {
    const { rows } = await app.owner.query('SELECT last_error, dead_at FROM outbox WHERE attempts > 0');
    return rows.length === 100 ? rows : null;
  }, 20_000);
  expect(row).toEqual({ last_error: expect.stringContaining('lock timeout'), dead_at: null });
  await locking.query('COMMIT');
  locking.release();
  await eventually(async () => (await waiting()) === 0, 30_000);
  expect(await recorded(ids)).toHaveLength(100);
}, 60_000);

test('another worker soon records the batch of a killed worker', async () => {
  const other = await startTestApp({}, { api: false, worker: false });
  onTestFinished(() => other.close());
  const killed = runMain(['worker'], { PATH: processEnvironment().PATH, ...other.environment });
  const locking = await other.owner.connect();
  await locking.query('BEGIN');
  await locking.query('SELECT FROM audit_chain FOR UPDATE');
  const ids = await writeAuditEvents(other.owner, 300);
  const isWaiting = `FROM pg_stat_activity WHERE datname = current_database()
    AND wait_event_type = 'Lock' AND query LIKE '%record_audit_events%'`;
  await eventually(async () => (await other.owner.query(`SELECT ${isWaiting}`)).rowCount === 1, 30_000);
  killed.child.kill('SIGKILL');
  // Its statement would otherwise be completed without it.
  await other.owner.query(`SELECT pg_terminate_backend(pid) ${isWaiting}`);
  await locking.query('COMMIT');
  locking.release();
  const next = await startApp(readConfig(other.environment), { api: false, worker: true }, createLogger('silent'));
  onTestFinished(() => next.close());
  await eventually(async () => (await waiting(other)) === 0, 29_000);
  expect(await recorded(ids, other)).toHaveLength(300);
}, 90_000);

test('a batch that several workers record repeatedly is recorded once', async () => {
  const other = await startTestApp({}, { api: false, worker: false });
  onTestFinished(() => other.close());
  const ids = await writeAuditEvents(other.owner, 300);
  const trail = createAuditTrail(openStore(other.environment.DATABASE_URL as string));
  const overlapping = [ids, ids.slice(0, 200), ids.slice(100), ids, ids.toReversed()];
  const counts = await Promise.all(overlapping.map((batch) => trail.record(batch)));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(300);
  expect(await trail.record(ids)).toBe(0);
  expect(await recorded(ids, other)).toHaveLength(300);
});

test.each([
  ['mail', 'audit'],
  ['audit', 'mail'],
] as const)('%s does not wait behind a backlog of %s', async (topic, busy) => {
  const other = await startTestApp({}, { api: false, worker: false });
  onTestFinished(() => other.close());
  await writeAuditEvents(other.owner, 5_000);
  await other.owner.query('UPDATE outbox SET topic = $1', [busy]);
  const ids = await writeAuditEvents(other.owner, 1);
  await other.owner.query('UPDATE outbox SET topic = $1 WHERE id = ANY ($2)', [topic, ids]);

  const outbox = createOutbox(openStore(other.environment.DATABASE_URL as string), () => '');
  const added: OutboxRef[] = [];
  const blocked = Promise.withResolvers<void>();
  const queues = {
    async add(rows: OutboxRef[]) {
      if (rows.some((row) => row.topic === busy)) await blocked.promise;
      added.push(...rows);
    },
  };
  const relays = startRelays({ outbox, queues }, (error) => expect(error).toBeUndefined());
  await eventually(() => added.length > 0);
  expect(added).toEqual([{ id: ids[0], topic, attempts: 0 }]);
  blocked.resolve();
  await relays.close();
});
