// After a full run, no stored data contains a password or a token.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SERVICE_KEY, startTestApp, type TestApp } from './support/app.ts';
import { account, auth, type Caller, callers } from './support/clients.ts';
import { eventually } from './support/eventually.ts';
import { newPerson } from './support/people.ts';
import { type StubbornSmtp, startStubbornSmtp } from './support/smtp.ts';

let app: TestApp;
let smtp: StubbornSmtp;
let call: Caller;
const secrets: string[] = [];

beforeAll(async () => {
  // The mail server rejects mail, permanently or temporarily, so that it stays in the queues for the check.
  smtp = await startStubbornSmtp((address) =>
    address.startsWith('for-good') ? 550 : address.startsWith('delivered') ? 250 : 451,
  );
  app = await startTestApp({ SMTP_URL: smtp.url, MAIL_RETRY_FOR_SECONDS: '600', JOB_BACKOFF_MS: '300' });
  call = callers(app.url)['Connect, JSON, HTTP/1.1'] as Caller;
});
afterAll(async () => {
  await app.close();
  await smtp.close();
});

async function everythingHappens(email: string): Promise<void> {
  const person = { ...newPerson(), email };
  const passwords = [person.password, 'the wrong one, typed', 'the second pass phrase'];
  secrets.push(...passwords, SERVICE_KEY);
  secrets.push((await call(auth.register, person)).body.binding);
  await call(auth.login, { email, password: passwords[1] as string });
  const { tokens } = (await call(auth.login, { email, password: person.password })).body;
  const refreshed = (await call(auth.refresh, { refreshToken: tokens.refreshToken, requestId: 'r1' })).body.tokens;
  secrets.push(tokens.accessToken, tokens.refreshToken, refreshed.accessToken, refreshed.refreshToken);
  await call(auth.verify, { accessToken: `${tokens.accessToken}x` });
  await call(auth.checkRole, { userId: 'not a user id', role: 'user' }, { bearer: SERVICE_KEY });
  const bearer = refreshed.accessToken;
  const again = await call(account.reauthenticate, { currentPassword: person.password }, { bearer });
  const change = { currentPassword: person.password, newPassword: passwords[2] as string };
  const changed = await call(account.changePassword, change, { bearer });
  for (const { body } of [again, changed]) secrets.push(body.tokens.accessToken, body.tokens.refreshToken);
  await call(account.changeEmail, { newEmail: `new-${email}` }, { bearer: changed.body.tokens.accessToken });
  await call(auth.requestReset, { email });
  await call(auth.confirmReset, { resetToken: `lkp_${'x'.repeat(64)}`, newPassword: passwords[2] as string });
  await call(auth.refresh, { refreshToken: `${refreshed.refreshToken}x` });
  await call(auth.logout, { refreshToken: refreshed.refreshToken });
}

/** The parts of a token that are secret: a signature or a MAC, not the header that all share. */
function tellTale(secret: string): string {
  return secret.slice(-40);
}

async function allOfPostgres(): Promise<string> {
  const { rows } = await app.owner.query("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'");
  const texts = await Promise.all(
    rows.map(async ({ name }) => {
      const content = await app.owner.query(`SELECT t::text AS text FROM "${name}" t`);
      return content.rows.map(({ text }) => text).join('\n');
    }),
  );
  return texts.join('\n');
}

async function allOfRedis(): Promise<string> {
  const redis = new Redis(app.environment.REDIS_URL as string);
  const dumps = await Promise.all(
    (await redis.keys('*')).map(async (key) => {
      const type = await redis.type(key);
      const read: Record<string, () => Promise<unknown>> = {
        string: () => redis.get(key),
        hash: () => redis.hgetall(key),
        list: () => redis.lrange(key, 0, -1),
        set: () => redis.smembers(key),
        zset: () => redis.zrange(key, '0', '-1'),
        stream: () => redis.xrange(key, '-', '+'),
      };
      return `${key} ${JSON.stringify(await read[type]?.())}`;
    }),
  );
  redis.disconnect();
  return dumps.join('\n');
}

test('Postgres, Redis with its queues, and the log hold no password and no token; Redis and the log no email', async () => {
  await everythingHappens('for-now@people.example');
  await everythingHappens('for-good@people.example');
  await everythingHappens('delivered@people.example');
  const { link } = await eventually(() => smtp.delivered.find(({ link: found }) => found !== ''));
  const resetToken = /lkp_\S+/.exec(link)?.[0] ?? '';
  const newPassword = 'set by the mailed token';
  expect((await call(auth.confirmReset, { resetToken, newPassword })).code).toBe('ok');
  secrets.push(resetToken, newPassword);
  await eventually(() => smtp.asked.length >= 4);
  const [postgres, redis, log] = [await allOfPostgres(), await allOfRedis(), app.logs.join('')];

  expect(postgres).toContain('for-good@people.example');
  expect(redis).toContain('{latchkey}:queue:mail');
  expect(redis).toContain('latchkey:limit:LOGIN_PAIR');
  expect(log).toContain('latchkey.auth.v1.AuthService/ConfirmReset');
  expect(secrets.length).toBeGreaterThan(10);
  for (const [where, content] of Object.entries({ postgres, redis, log })) {
    for (const secret of secrets) expect(content.includes(tellTale(secret)), `${where}: ${secret}`).toBe(false);
    expect(content, where).not.toMatch(/lk[rpvug]_[A-Za-z0-9_-]{20}/);
  }
  expect(redis).not.toContain('@people.example');
  expect(log).not.toContain('@people.example');
});
