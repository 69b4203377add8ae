// `npm run bench:audit [-- events]` measures how fast a worker process moves a backlog of audit events (20,000 by default) from the
// outbox to the audit trail, beside one job and one transaction an event on the same databases; then a steady 2,000 events a second.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, Queue, Worker } from 'bullmq';
import pg from 'pg';
import { processEnvironment, readConfig } from '../../src/config/config.ts';
import { openQueueRedis } from '../../src/jobs/queues.ts';
import { startRelay } from '../../src/jobs/relay.ts';
import { createAuditTrail } from '../../src/store/audit-trail.ts';
import { createOutbox } from '../../src/store/outbox.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { runMain } from '../support/processes.ts';
import { rssMegabytes, startBackends } from './harness.ts';

const EVENTS = Number(process.argv[2] ?? 20_000);
const STEADY_PER_SECOND = 2_000;
const STEADY_SECONDS = 10;
const ONE_BY_ONE_CONCURRENCY = 16;
const RELAY_BATCH = 200;

const backends = await startBackends();
const owner = new pg.Client({ connectionString: backends.ownerUrl });
await owner.connect();
const config = readConfig(backends.environment);

async function fill(events: number): Promise<void> {
  await owner.query(
    `INSERT INTO outbox (id, topic, payload, created_at)
      SELECT uuidv7(), 'audit', jsonb_build_object('type', 'login_succeeded', 'userId', gen_random_uuid(),
        'sessionId', gen_random_uuid(), 'account', 'q2YkXx4D0vYB3vXx7m3sZQ', 'origin', jsonb_build_object('address', '192.0.2.7',
        'userAgent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'requestId', gen_random_uuid())), now()
      FROM generate_series(1, $1)`,
    [events],
  );
}

async function waiting(): Promise<{ events: number; oldestMs: number }> {
  const { rows } = await owner.query(
    `SELECT count(*)::int AS events, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)) * 1000, 0)::float8
      AS "oldestMs" FROM outbox`,
  );
  return rows[0];
}

/** The time from the first recorded event to the last. */
async function drained(events: number): Promise<number> {
  let start: { at: number; events: number } | null = null;
  for (;;) {
    const { events: left } = await waiting();
    if (left < events) start ??= { at: performance.now(), events: left };
    if (left === 0) return start ? (start.events * 1000) / (performance.now() - start.at) : 0;
    await sleep(10);
  }
}

/** One job, one statement and one commit for each event. */
async function startOneByOne(): Promise<() => Promise<void>> {
  const db = openDatabase(
    { url: config.database.url, poolSize: ONE_BY_ONE_CONCURRENCY, statementTimeoutMs: 5_000 },
    () => {},
  );
  const trail = createAuditTrail(db);
  const redis = openQueueRedis(config.redisUrl, () => {});
  const connection = redis as ConnectionOptions;
  const queue = new Queue('one-by-one', { connection, defaultJobOptions: { removeOnComplete: true } });
  const add = async (rows: { id: string }[]) => {
    await queue.addBulk(rows.map(({ id }) => ({ name: 'audit', data: {}, opts: { jobId: id } })));
  };
  const record = async ({ id }: { id?: string }) => void (await trail.record([id as string]));
  const worker = new Worker('one-by-one', record, { connection, concurrency: ONE_BY_ONE_CONCURRENCY });
  const relayed = { outbox: createOutbox(db, randomUUID), queues: { add }, now: () => new Date() };
  const relay = startRelay({ ...relayed, topic: 'audit', batch: RELAY_BATCH }, (error) => console.error(error));
  return async () => {
    await Promise.all([relay.close(), worker.close()]);
    await queue.close();
    redis.disconnect();
    await db.destroy();
  };
}

const few = Math.ceil(EVENTS / 5);
await fill(few);
const stopOneByOne = await startOneByOne();
const before = await drained(few);
await stopOneByOne();
console.log(`one transaction an event    ${before.toFixed(0).padStart(6)} events/s`);

const worker = runMain(['worker'], { PATH: processEnvironment().PATH, ...backends.environment });
const rss = () => rssMegabytes(worker.child.pid as number);
// The worker is ready once its own first events are recorded.
while (rss() < 100 || (await waiting()).events > 0) await sleep(100);
await sleep(2_000);
const idle = rss();
let peak = idle;
const watching = setInterval(() => {
  peak = Math.max(peak, rss());
}, 20);
await fill(EVENTS);
const after = await drained(EVENTS);
console.log(
  `a worker, by the batch      ${after.toFixed(0).padStart(6)} events/s    ${(after / before).toFixed(1)} times`,
);
console.log(`its memory                  ${idle.toFixed(0)} MB idle, ${peak.toFixed(0)} MB at the most`);

let most = { events: 0, oldestMs: 0 };
for (let n = 0; n < STEADY_SECONDS * 10; n += 1) {
  const next = performance.now() + 100;
  await fill(STEADY_PER_SECOND / 10);
  const now = await waiting();
  most = { events: Math.max(most.events, now.events), oldestMs: Math.max(most.oldestMs, now.oldestMs) };
  await sleep(Math.max(0, next - performance.now()));
}
console.log(
  `${STEADY_PER_SECOND} events/s for ${STEADY_SECONDS} s: at most ${most.events} wait, the oldest ${most.oldestMs.toFixed(0)} ms`,
);

clearInterval(watching);
worker.child.kill('SIGTERM');
await worker.ended;
await owner.end();
await backends.stop();
