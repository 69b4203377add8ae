import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { testApp } from '../support/app.ts';
import { account, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, registeredCrowd, signedIn } from '../support/people.ts';

const app = await testApp({ LIMIT_REQUEST_RESET_ACCOUNT: '2/900' });
const { call } = app;

async function eventsOf(userId: string): Promise<string[]> {
  const { rows } = await app.owner.query(
    `SELECT type FROM audit_events WHERE user_id = $1
       OR account IN (SELECT account FROM audit_events WHERE user_id = $1 AND account IS NOT NULL) ORDER BY type`,
    [userId],
  );
  return rows.map((row) => row.type);
}

test('each event is in the audit trail once', async () => {
  const person = await registered(call);
  await call(auth.login, { email: person.email, password: 'wrong one' });
  const session = await signedIn(call, person);
  const { tokens } = (await call(auth.refresh, { refreshToken: session.refreshToken })).body;
  await call(auth.logout, { refreshToken: tokens.refreshToken });
  const other = await signedIn(call, person);
  const changed = await call(
    account.changePassword,
    { currentPassword: person.password, newPassword: 'the second pass phrase' },
    { bearer: other.accessToken },
  );
  await call(auth.checkRole, { userId: person.userId, role: 'user' }, { bearer: changed.body.tokens.accessToken });
  await call(auth.requestReset, { email: person.email });
  const mail = await eventually(() =>
    app.mailbox.mails.find(({ to, subject }) => to === person.email && subject === 'Set a new password'),
  );
  await call(auth.confirmReset, {
    resetToken: mail.link?.split('#token=')[1] ?? '',
    newPassword: 'the third pass phrase',
  });
  for (let n = 0; n < 3; n += 1) await call(auth.requestReset, { email: person.email });

  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  expect(await eventsOf(person.userId)).toEqual([
    'logged_out',
    'login_failed',
    'login_succeeded',
    'login_succeeded',
    // The mails: two resets, and a notice for each change of the password.
    'mail_sent',
    'mail_sent',
    'mail_sent',
    'mail_sent',
    'password_changed',
    'permission_denied',
    'refreshed',
    'registered',
    'reset_done',
    'reset_requested',
    'reset_requested',
    'throttled',
  ]);
});

test('an event has the actor, the reason, the address and the request, and no email address', async () => {
  const person = await registered(call);
  await call(
    auth.login,
    { email: person.email, password: 'wrong one' },
    { headers: { 'x-request-id': 'call-7', 'user-agent': 'a test\u00ff' } },
  );
  const [event] = await eventually(async () => {
    const { rows } = await app.owner.query("SELECT * FROM audit_events WHERE user_id = $1 AND type = 'login_failed'", [
      person.userId,
    ]);
    return rows.length > 0 ? rows : null;
  });
  expect(event).toMatchObject({
    detail: 'wrong password',
    address: '127.0.0.1',
    request_id: 'call-7',
    user_agent: 'a test',
  });
  expect(event.account).toMatch(/^[A-Za-z0-9_-]{22}$/);
  const all = await app.owner.query('SELECT audit_events::text AS text FROM audit_events');
  expect(all.rows.map((row) => row.text).join('\n')).not.toContain('@people.example');
});

test('a Redis that loses everything causes a delay and loses no event', async () => {
  const redis = new Redis(app.environment.REDIS_URL as string);
  onTestFinished(() => redis.disconnect());
  const people = [];
  for (let n = 0; n < 30; n += 1) {
    people.push(await registered(call));
    if (n % 5 === 0) await redis.flushdb();
  }
  // Rows that were handed over before a loss are handed over again after a minute.
  await app.owner.query('UPDATE outbox SET next_attempt_at = now()');
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0, 20_000);
  for (const { userId } of people) expect(await eventsOf(userId)).toEqual(['registered']);
});

test('several workers record each event once', async () => {
  const config = readConfig(app.environment);
  const more = await Promise.all(
    [1, 2].map(() => startApp(config, { api: false, worker: true }, createLogger('silent'))),
  );
  onTestFinished(async () => void (await Promise.all(more.map((worker) => worker.close()))));
  const people = await registeredCrowd(call, 60);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0, 20_000);
  for (const { userId } of people) expect(await eventsOf(userId)).toEqual(['registered']);
});
