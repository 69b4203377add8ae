// SMTP servers that are slow or become silent, and workers that stop or are killed meanwhile.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { connectionOptions } from '../../src/jobs/mailer.ts';
import { createLogger } from '../../src/process/log.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type MoodySmtp, startMoodySmtp } from '../support/moody-smtp.ts';
import { registered } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

/** A service without a worker. */
let app: TestApp;
let smtp: MoodySmtp;
let call: Caller;
const SOON_MS = 30_000;
const TEST_TIMEOUT_MS = 150_000;

beforeAll(async () => {
  smtp = await startMoodySmtp();
  app = await startTestApp({ SMTP_URL: smtp.url, MAIL_RETRY_FOR_SECONDS: '600' }, { api: true, worker: false });
  call = viaFetch(app.url);
});
afterAll(async () => {
  await app.close();
  await smtp.close();
});

async function startWorker(changes: Record<string, string> = {}) {
  const config = readConfig({ ...app.environment, ...changes });
  const worker = await startApp(config, { api: false, worker: true }, createLogger('silent'));
  onTestFinished(() => worker.close());
  return worker;
}

async function askForReset(): Promise<string> {
  const { email } = await registered(call);
  await call(auth.requestReset, { email });
  return email;
}

const copiesFor = (email: string) => smtp.delivered.filter(({ to }) => to === email);
async function rowFor(email: string) {
  const { rows } = await app.owner.query(
    `SELECT attempts, claimed_until, dead_at, next_attempt_at - now() < interval '1 second' AS is_due
      FROM outbox WHERE topic = 'mail' AND payload ->> 'email' = $1`,
    [email],
  );
  return rows[0] as { attempts: number; claimed_until: Date | null; dead_at: Date | null; is_due: boolean } | undefined;
}
const isSent = async (email: string) => (await rowFor(email)) === undefined;

test('a server that responds 35 seconds after the message gets one copy, although Redis loses the job', {
  timeout: TEST_TIMEOUT_MS,
}, async () => {
  // Longer than BullMQ's lock on a job.
  smtp.change({ answerDelayMs: 35_000 });
  await startWorker();
  await startWorker();
  const email = await askForReset();
  await eventually(() => copiesFor(email).length === 1, SOON_MS);
  const redis = new Redis(app.environment.REDIS_URL as string);
  onTestFinished(() => redis.disconnect());
  await redis.flushdb();
  // Makes the job due for the relay's check.
  await app.owner.query("UPDATE outbox SET next_attempt_at = now() WHERE topic = 'mail'");
  const claimedUntil = (await rowFor(email))?.claimed_until?.getTime() ?? Number.POSITIVE_INFINITY;
  await eventually(async () => ((await rowFor(email))?.claimed_until?.getTime() ?? 0) > claimedUntil, 60_000);
  await eventually(() => isSent(email), 60_000);
  expect(copiesFor(email)).toHaveLength(1);
  const events = () => app.owner.query("SELECT FROM audit_events WHERE type = 'mail_sent'");
  await eventually(async () => (await events()).rowCount === 1);
});

test('a greeting can take longer than ten seconds, and the timeouts are those of RFC 5321', {
  timeout: TEST_TIMEOUT_MS,
}, async () => {
  smtp.change({ greetingDelayMs: 12_000 });
  await startWorker();
  const email = await askForReset();
  await eventually(() => isSent(email), 60_000);
  expect(copiesFor(email)).toHaveLength(1);
  const options = connectionOptions(readConfig(app.environment).mail.mailer);
  expect(options.greetingTimeout).toBeGreaterThanOrEqual(300_000);
  expect(options.socketTimeout).toBeGreaterThanOrEqual(600_000);
});

test('a mail that the server has accepted is not sent again because Postgres is slow to record it', {
  timeout: TEST_TIMEOUT_MS,
}, async () => {
  smtp.change({ answerDelayMs: 1_000 });
  await startWorker();
  const email = await askForReset();
  await eventually(() => copiesFor(email).length === 1, SOON_MS);
  const blocker = await app.owner.connect();
  try {
    await blocker.query('BEGIN');
    await blocker.query("SELECT FROM outbox WHERE topic = 'mail' FOR UPDATE");
    // Longer than a statement waits for a lock.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    expect(await isSent(email)).toBe(false);
  } finally {
    await blocker.query('ROLLBACK');
    blocker.release();
  }
  await eventually(() => isSent(email), SOON_MS);
  expect(copiesFor(email)).toHaveLength(1);
});

test('a connection that becomes silent delays neither other mails nor audit events', {
  timeout: TEST_TIMEOUT_MS,
}, async () => {
  smtp.change({ silentAt: 'MESSAGE' });
  await startWorker({ SHUTDOWN_GRACE_SECONDS: '0' });
  const stuck = await askForReset();
  await eventually(async () => (await rowFor(stuck))?.claimed_until, SOON_MS);
  await eventually(() => smtp.connections() > 0, SOON_MS);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  smtp.change({});
  const other = await askForReset();
  await eventually(() => isSent(other), SOON_MS);
  const person = await registered(call);
  const events = () => app.owner.query('SELECT FROM audit_events WHERE user_id = $1', [person.userId]);
  await eventually(async () => (await events()).rowCount === 1, SOON_MS);
  expect((await rowFor(stuck))?.claimed_until).not.toBeNull();
});

test('a worker that stops ends the connection after its grace, and the next worker sends the mail', {
  timeout: TEST_TIMEOUT_MS,
}, async () => {
  await app.owner.query('DELETE FROM outbox');
  smtp.change({ answerDelayMs: 600_000 });
  const worker = await startWorker({ SHUTDOWN_GRACE_SECONDS: '1' });
  const email = await askForReset();
  await eventually(() => copiesFor(email).length === 1, SOON_MS);
  const startedAt = performance.now();
  await worker.close();
  expect(performance.now() - startedAt).toBeLessThan(30_000);
  expect(await rowFor(email)).toMatchObject({ attempts: 1, claimed_until: null, dead_at: null, is_due: true });
  await eventually(() => smtp.connections() === 0, SOON_MS);
  smtp.change({});
  await startWorker();
  await eventually(() => isSent(email), SOON_MS);
  expect(new Set(copiesFor(email).map(({ messageId }) => messageId)).size).toBe(1);
});

test('a mail whose worker was killed is sent when the claim has expired, and the attempt is counted', {
  timeout: TEST_TIMEOUT_MS,
}, async () => {
  smtp.change({ silentAt: 'MAIL' });
  const killed = runMain(['worker'], { ...app.environment, METRICS_PORT: '' });
  const email = await askForReset();
  await eventually(async () => (await rowFor(email))?.claimed_until, 60_000);
  killed.child.kill('SIGKILL');
  await killed.ended;
  smtp.change({});
  await startWorker();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await rowFor(email), 'no other worker touches a mail that is claimed').toMatchObject({ attempts: 1 });
  await app.owner.query("UPDATE outbox SET claimed_until = now() - interval '1 s', next_attempt_at = now()");
  smtp.change({ answers: { RCPT: '451 4.3.0 later' } });
  await eventually(async () => ((await rowFor(email))?.attempts ?? 0) >= 2, SOON_MS);
  smtp.change({});
  await eventually(() => isSent(email), SOON_MS);
  expect(copiesFor(email)).toHaveLength(1);
});
