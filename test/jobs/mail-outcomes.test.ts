// The outcomes of an attempt to send a mail: sent, retried, given up, expired, or dropped. Each one writes a log line, and the
// outcome of a mail writes an audit event.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type Mood, type MoodySmtp, startMoodySmtp } from '../support/moody-smtp.ts';
import { registered, signedIn } from '../support/people.ts';

let app: TestApp;
let smtp: MoodySmtp;
let call: Caller;
const SOON_MS = 20_000;

beforeAll(async () => {
  smtp = await startMoodySmtp();
  app = await startTestApp({
    SMTP_URL: smtp.url,
    SMTP_HELO_NAME: 'id.product.example',
    MAIL_FROM: 'Zoë, Acme <no-reply@bücher.example>',
    MAIL_RETRY_FOR_SECONDS: '259200',
    JOB_BACKOFF_MS: '200',
  });
  call = viaFetch(app.url);
});
afterAll(async () => {
  await app.close();
  await smtp.close();
});
beforeEach(() => smtp.change({}));

type Row = {
  id: string;
  attempts: number;
  last_error: string | null;
  dead_at: Date | null;
  wait_seconds: number;
};

async function rowOf(email: string): Promise<Row | undefined> {
  const { rows } = await app.owner.query(
    `SELECT id, attempts, last_error, dead_at, extract(epoch FROM next_attempt_at - now())::float8 AS wait_seconds
      FROM outbox WHERE topic = 'mail' AND payload ->> 'email' = $1 ORDER BY id DESC`,
    [email],
  );
  return rows[0];
}

async function eventsAbout(outboxId: string) {
  const { rows } = await app.owner.query('SELECT * FROM audit_events WHERE target = $1', [`mail:${outboxId}`]);
  return rows;
}

/** Lines of the log about a mail. */
const linesAbout = (outboxId: string) =>
  app.logs.map((line) => JSON.parse(line)).filter(({ outbox_id }) => outbox_id === outboxId);

async function askForReset(mood: Mood = {}) {
  const person = await registered(call);
  smtp.change(mood);
  await call(auth.requestReset, { email: person.email });
  const delivered = () => smtp.delivered.find(({ to }) => to === person.email)?.messageId.slice(1, 37);
  const mailId = await eventually(async () => (await rowOf(person.email))?.id ?? delivered(), SOON_MS);
  return { ...person, mailId };
}

const isDelivered = (person: { email: string }) =>
  eventually(() => smtp.delivered.some(({ to }) => to === person.email), SOON_MS);

describe('a sent mail', () => {
  test('writes one log line and one audit event, without any address', async () => {
    const person = await askForReset();
    await isDelivered(person);
    const [event] = await eventually(async () => {
      const events = await eventsAbout(person.mailId);
      return events.length > 0 ? events : null;
    }, SOON_MS);
    const messageId = `<${person.mailId}@xn--bcher-kva.example>`;
    const answer = '250 2.0.0 queued for <***> as 4Yk2';
    expect(event).toMatchObject({
      type: 'mail_sent',
      user_id: person.userId,
      detail: 'password-reset',
      after: { messageId, response: answer },
    });
    expect(JSON.stringify(event)).not.toContain(person.email);
    const lines = linesAbout(person.mailId);
    expect(lines).toMatchObject([
      {
        msg: 'mail sent',
        template: 'password-reset',
        user_id: person.userId,
        message_id: messageId,
        smtp_answer: answer,
      },
    ]);
    expect(await rowOf(person.email)).toBeUndefined();
  });

  test('comes from the display name and the A-label of MAIL_FROM, from a client with a real name', async () => {
    const person = await askForReset({ isStrictAboutHelo: true });
    await isDelivered(person);
    expect(new Set(smtp.helos)).toEqual(new Set(['id.product.example']));
    const { from = '' } = smtp.delivered.find(({ to }) => to === person.email) ?? {};
    expect(from).toMatch(/<no-reply@xn--bcher-kva\.example>$/);
    expect(from).toMatch(/^(=\?UTF-8\?[QB]\?|")/);
  });
});

describe('a temporarily rejected mail', () => {
  test.each<[string, Mood, string]>([
    ['a greylisting server', { greylistMs: 500 }, '450 4.2.0'],
    ['a quota that ends tomorrow', { answers: { MESSAGE: '554 5.2.0 SubmissionQuotaExceededException' } }, '554 5.2.0'],
    ['a full mailbox', { answers: { RCPT: '552 5.2.2 mailbox full' } }, '552 5.2.2'],
    ['a sender that the server does not take yet', { answers: { MAIL: '550 5.7.1 not yours' } }, '550 5.7.1'],
    ['a server that throttles', { answers: { MAIL: '454 4.7.0 throttling' } }, '454 4.7.0'],
  ])('waits for its next attempt: %s', async (_, mood, error) => {
    const person = await askForReset(mood);
    const row = await eventually(async () => {
      const seen = await rowOf(person.email);
      return seen?.last_error ? seen : null;
    }, SOON_MS);
    expect(row.last_error).toContain(error);
    expect(row.dead_at).toBeNull();
    if (mood.greylistMs === undefined) smtp.change({});
    await isDelivered(person);
    const [failed] = linesAbout(person.mailId);
    expect(failed).toMatchObject({ level: 'warn', msg: 'mail not sent, will be tried again', attempt: 1 });
    expect(failed.smtp_answer).toContain(error);
  });

  test('keeps its schedule when Redis loses everything', async () => {
    const person = await askForReset({ answers: { RCPT: '451 4.3.0 later' } });
    await eventually(async () => ((await rowOf(person.email))?.attempts ?? 0) >= 3, SOON_MS);
    const redis = new Redis(app.environment.REDIS_URL as string);
    onTestFinished(() => redis.disconnect());
    await redis.flushdb();
    smtp.change({});
    await isDelivered(person);
  });

  test('is retried for three days, at intervals of at most an hour, or five minutes for a link', async () => {
    const urgent = await askForReset({ answers: { RCPT: '451 4.3.0 later' } });
    const notice = await signedIn(call);
    await call(account.deleteMe, { currentPassword: notice.password }, { bearer: notice.accessToken });
    const failAfter = async (email: string, first: string) => {
      await app.owner.query(
        `UPDATE outbox SET attempts = 30, claimed_until = NULL, next_attempt_at = now(), first_attempt_at = now() - $2::interval
          WHERE payload ->> 'email' = $1 AND topic = 'mail'`,
        [email, first],
      );
      return eventually(async () => {
        const row = await rowOf(email);
        return row && row.attempts > 30 && (row.dead_at || row.wait_seconds > 100) ? row : null;
      }, SOON_MS);
    };
    await eventually(async () => (await rowOf(notice.email))?.last_error, SOON_MS);
    const [late, later] = [
      await failAfter(urgent.email, '2 days 23 hours'),
      await failAfter(notice.email, '2 days 23 hours'),
    ];
    expect([late.dead_at, later.dead_at]).toEqual([null, null]);
    expect(late.wait_seconds).toBeLessThan(331);
    expect(later.wait_seconds).toBeGreaterThan(3_000);
    expect(later.wait_seconds).toBeLessThan(3_961);
    const dead = await failAfter(notice.email, '3 days 1 minute');
    expect(dead.dead_at).not.toBeNull();
    const [event] = await eventually(async () => {
      const events = await eventsAbout(dead.id);
      return events.length > 0 ? events : null;
    }, SOON_MS);
    expect(event).toMatchObject({
      type: 'mail_failed',
      user_id: notice.userId,
      detail: 'account-deleted',
      after: { response: '451 4.3.0 later' },
    });
    await app.owner.query("DELETE FROM outbox WHERE topic = 'mail'");
  });
});

test('a mail that is rejected permanently is given up at once, with an audit event', async () => {
  const person = await askForReset({ answers: { RCPT: '550 5.1.1 no such user' } });
  const row = await eventually(async () => {
    const seen = await rowOf(person.email);
    return seen?.dead_at ? seen : null;
  }, SOON_MS);
  expect(row).toMatchObject({ attempts: 1, last_error: expect.stringContaining('550 5.1.1') });
  const events = () => eventsAbout(person.mailId);
  await eventually(async () => (await events()).length === 1, SOON_MS);
  expect((await events())[0]).toMatchObject({
    type: 'mail_failed',
    user_id: person.userId,
    detail: 'password-reset',
    after: { attempts: 1, response: '550 5.1.1 no such user' },
  });
  expect(linesAbout(person.mailId)).toMatchObject([{ level: 'error', msg: 'mail rejected permanently: dead letter' }]);
});

test('an e-mail whose token expired before it was sent is a dead letter, a log line and an audit event', async () => {
  const late = await startTestApp({}, { api: true, worker: false });
  onTestFinished(() => late.close());
  const callLate = viaFetch(late.url);
  const person = await registered(callLate);
  await callLate(auth.requestReset, { email: person.email });
  const logs: string[] = [];
  const log = createLogger('info', { write: (line) => void logs.push(line) });
  const aheadOfTime = () => new Date(Date.now() + 31 * 86_400_000);
  const worker = await startApp(readConfig(late.environment), { api: false, worker: true }, log, {
    clock: aheadOfTime,
  });
  onTestFinished(() => worker.close());
  const look = async (query: string) => (await late.owner.query(query)).rows;
  const [dead] = await eventually(async () => {
    const rows = await look('SELECT id, last_error FROM outbox WHERE dead_at IS NOT NULL');
    return rows.length > 0 ? rows : null;
  }, SOON_MS);
  expect(dead.last_error).toContain('expired before the mail could be sent');
  const [event] = await eventually(async () => {
    const rows = await look("SELECT * FROM audit_events WHERE type = 'mail_expired'");
    return rows.length > 0 ? rows : null;
  }, SOON_MS);
  expect(event).toMatchObject({ target: `mail:${dead.id}`, detail: 'password-reset' });
  const lines = logs.map((line) => JSON.parse(line)).filter(({ outbox_id }) => outbox_id === dead.id);
  expect(lines).toMatchObject([{ level: 'error', msg: expect.stringContaining('token expired') }]);
  expect(late.mailbox.mails).toEqual([]);
});

test('a mail to an account that no longer exists is dropped with a log line', async () => {
  const person = await askForReset({ answers: { RCPT: '451 4.3.0 later' } });
  await eventually(async () => (await rowOf(person.email))?.last_error, SOON_MS);
  await app.owner.query('DELETE FROM users WHERE id = $1', [person.userId]);
  smtp.change({});
  await eventually(async () => (await rowOf(person.email)) === undefined, SOON_MS);
  expect(smtp.delivered.filter(({ to }) => to === person.email)).toEqual([]);
  expect(linesAbout(person.mailId).at(-1)).toMatchObject({
    level: 'info',
    msg: expect.stringMatching(/^mail not sent/),
  });
});

test.each<[string, Mood, string]>([
  ['a wrong login', { authMethods: ['PLAIN'], isLoginWrong: true }, '535 5.7.8 bad credentials'],
  ['a server without AUTH', {}, 'the SMTP server offers no AUTH'],
])('%s writes one log line for each attempt, and sends no mail', async (_, mood, says) => {
  const server = await startMoodySmtp(mood);
  const url = server.url.replace('//', '//mailer:kd84hs02mzpq77@');
  const other = await startTestApp({ SMTP_URL: url, MAIL_RETRY_FOR_SECONDS: '600', JOB_BACKOFF_MS: '500' });
  onTestFinished(async () => {
    await other.close();
    await server.close();
  });
  const ask = viaFetch(other.url);
  const { email } = await registered(ask);
  await ask(auth.requestReset, { email });
  const look = async () =>
    (await other.owner.query("SELECT attempts, last_error, dead_at FROM outbox WHERE topic = 'mail'")).rows[0];
  const row = await eventually(async () => ((await look())?.attempts >= 3 ? look() : null), SOON_MS);
  expect(row).toMatchObject({ last_error: expect.stringContaining(says), dead_at: null });
  const attempts = other.logs.map((line) => JSON.parse(line)).filter(({ topic }) => topic === 'mail');
  expect(new Set(attempts.map(({ attempt }) => attempt)).size).toBe(attempts.length);
  const { smtp_command: command, smtp_answer: answer, err } = attempts[0];
  expect(command === undefined ? err.message : `${command}: ${answer}`).toContain(says);
  expect(server.delivered).toEqual([]);
  expect(other.logs.join('')).not.toContain('kd84hs02mzpq77');
});
