// `outbox` as an operator types it, while a mail server rejects mails temporarily or permanently.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type MoodySmtp, startMoodySmtp } from '../support/moody-smtp.ts';
import { registered } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

let app: TestApp;
let smtp: MoodySmtp;
let call: Caller;
const SOON_MS = 20_000;

beforeAll(async () => {
  smtp = await startMoodySmtp();
  // After one attempt a mail waits for minutes.
  app = await startTestApp({ SMTP_URL: smtp.url, MAIL_RETRY_FOR_SECONDS: '600', JOB_BACKOFF_MS: '300000' });
  call = viaFetch(app.url);
});
afterAll(async () => {
  await app.close();
  await smtp.close();
});

async function outbox(...args: string[]) {
  const running = runMain(['outbox', ...args], { DATABASE_URL: app.environment.DATABASE_URL });
  return { exit: await running.ended, output: running.output() };
}

async function rejected(answer: string): Promise<{ email: string; id: string }> {
  const { email } = await registered(call);
  smtp.change({ answers: { RCPT: answer } });
  await call(auth.requestReset, { email });
  const query = "SELECT id FROM outbox WHERE last_error IS NOT NULL AND payload ->> 'email' = $1";
  const row = await eventually(async () => (await app.owner.query(query, [email])).rows[0], SOON_MS);
  smtp.change({});
  return { email, id: row.id };
}

const isDelivered = (email: string) => eventually(() => smtp.delivered.some(({ to }) => to === email), SOON_MS);

test('lists waiting and dead effects, and retries each kind at once', async () => {
  const waiting = await rejected('451 4.3.0 later');
  const dead = await rejected('550 5.1.1 no such user');

  const both = JSON.parse((await outbox('list', '--json')).output);
  expect(both).toMatchObject([
    {
      id: dead.id,
      state: 'dead',
      attempts: 1,
      next_attempt_at: null,
      last_error: expect.stringContaining('550 5.1.1'),
    },
    {
      id: waiting.id,
      topic: 'mail',
      kind: 'password-reset',
      to: waiting.email,
      state: 'waiting',
      attempts: 1,
      given_up_at: null,
      last_error: expect.stringContaining('451 4.3.0'),
    },
  ]);
  expect(Date.parse(both[1].next_attempt_at) - Date.now()).toBeGreaterThan(200_000);
  expect(both[1].age_seconds).toBeLessThan(600);
  const ids = async (...args: string[]) =>
    JSON.parse((await outbox('list', '--json', ...args)).output).map(({ id }: { id: string }) => id);
  expect(await ids('--dead')).toEqual([dead.id]);
  expect(await ids('--waiting')).toEqual([waiting.id]);
  expect((await outbox('list', '--limit', '1')).output).toContain('the first 1; --limit shows more');

  expect(await outbox('retry', waiting.id)).toEqual({ exit: 0, output: `${waiting.id} is due now\n` });
  await isDelivered(waiting.email);
  expect((await outbox('retry', dead.id)).output).toBe(`${dead.id} gets a new round of attempts\n`);
  await isDelivered(dead.email);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0, SOON_MS);
  expect(await outbox('retry', dead.id)).toEqual({ exit: 1, output: `${dead.id} is not in the outbox\n` });
  expect((await outbox()).output).toBe('the outbox is empty\n');
}, 90_000);

test('retries all effects of one state at once', async () => {
  const waiting = [await rejected('451 4.3.0 later'), await rejected('452 4.2.2 full')];
  const dead = [await rejected('550 5.1.1 no such user')];
  const outcome = async (...args: string[]) => JSON.parse((await outbox('retry', 'all', '--json', ...args)).output);
  expect(await outcome('--dead')).toEqual({ dead_letters_revived: 1, due_now: 0 });
  for (const { email } of dead) await isDelivered(email);
  expect(await outcome('--waiting')).toEqual({ dead_letters_revived: 0, due_now: 2 });
  for (const { email } of waiting) await isDelivered(email);
  expect(await outcome()).toEqual({ dead_letters_revived: 0, due_now: 0 });
}, 90_000);

test('reads only the rows of a large outbox that it shows', async () => {
  await app.owner.query(
    `INSERT INTO outbox (id, topic, payload, created_at, next_attempt_at, dead_at)
      SELECT gen_random_uuid(), 'mail', '{}', now(), now() + interval '1 day', CASE n % 2 WHEN 0 THEN now() END
      FROM generate_series(1, 20000) AS n`,
  );
  await app.owner.query('ANALYZE outbox');
  const plan = async (where: string) =>
    JSON.stringify((await app.owner.query(`EXPLAIN SELECT * FROM outbox WHERE ${where} LIMIT 100`)).rows);
  expect(await plan("topic = 'mail' AND dead_at IS NULL ORDER BY next_attempt_at, id")).toContain('outbox_due_idx');
  expect(await plan('dead_at IS NOT NULL ORDER BY dead_at DESC, id DESC')).toContain('outbox_dead_idx');
  for (const where of [
    "topic = 'mail' AND dead_at IS NULL ORDER BY next_attempt_at, id",
    'dead_at IS NOT NULL ORDER BY dead_at DESC, id DESC',
  ]) {
    expect(await plan(where)).not.toMatch(/Sort|Seq Scan/);
  }
  await app.owner.query('DELETE FROM outbox');
});
