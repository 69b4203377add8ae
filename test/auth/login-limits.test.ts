import { describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp, testApp } from '../support/app.ts';
import { auth, type Caller, callers, type Outcome, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, signedIn } from '../support/people.ts';

const LIMITS = { LIMIT_LOGIN_ACCOUNT: '5/900', LIMIT_LOGIN_PAIR: '5/900', LIMIT_LOGIN_NETWORK: '100000/900' };
const app = await testApp(LIMITS);
const { call } = app;

async function fail(email: string, times: number, caller = call): Promise<Outcome[]> {
  return Promise.all(Array.from({ length: times }, (_, n) => caller(auth.login, { email, password: `wrong ${n}` })));
}

describe.each([
  ['a known account', true],
  ['an unknown account', false],
])('%s', (_, isKnown) => {
  test('checks five of 500 parallel wrong passwords', async () => {
    const person = isKnown ? await registered(call) : newPerson();
    const outcomes = await fail(person.email, 500);
    expect(outcomes.filter(({ reason }) => reason === 'CREDENTIALS_INVALID')).toHaveLength(5);
    const limited = outcomes.filter(({ reason }) => reason === 'RATE_LIMITED');
    expect(limited).toHaveLength(495);
    expect(limited[0]).toMatchObject({ code: 'resource_exhausted', message: 'too many attempts; retry later' });
    expect(limited[0]?.retryAfterSeconds).toBeGreaterThan(880);
    expect(limited[0]?.retryAfterSeconds).toBeLessThanOrEqual(900);
    expect(limited[0]?.retryAfterHeader).toBe(limited[0]?.retryAfterSeconds);
    // The right password is not checked either, so no response shows that it was right.
    expect((await call(auth.login, { email: person.email, password: person.password })).reason).toBe('RATE_LIMITED');
  });
});

test('successful sign-ins do not count', async () => {
  const person = await registered(call);
  for (let n = 0; n < 8; n += 1) await signedIn(call, person);
  expect((await fail(person.email, 4)).every(({ reason }) => reason === 'CREDENTIALS_INVALID')).toBe(true);
  await signedIn(call, person);
});

test('only the first rejection of a window is audited', async () => {
  const person = await registered(call);
  await fail(person.email, 60);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const { rows } = await app.owner.query(
    `SELECT detail FROM audit_events WHERE type = 'throttled'
       AND account = (SELECT account FROM audit_events WHERE type = 'registered' AND user_id = $1)`,
    [person.userId],
  );
  expect(rows).toEqual([{ detail: 'LOGIN_PAIR' }]);
});

test('a caller that disconnects before the response has used up an attempt', async () => {
  const slow = await startTestApp({ ...LIMITS, ARGON2_MEMORY_KIB: '131072', ARGON2_ITERATIONS: '3' });
  onTestFinished(() => slow.close());
  const [hasty, patient] = [callers(slow.url)['Connect, JSON, HTTP/1.1'] as Caller, viaFetch(slow.url)];
  const person = await registered(patient);
  const failures = async () => {
    const { rows } = await slow.owner.query("SELECT count(*)::int AS n FROM audit_events WHERE type = 'login_failed'");
    return rows[0].n as number;
  };
  // On a busy machine a deadline may pass before the password is checked; that attempt does not count.
  const codes: string[] = [];
  while (codes.length < 25 && codes.at(-1) !== 'resource_exhausted') {
    const password = `wrong ${codes.length}`;
    codes.push((await hasty(auth.login, { email: person.email, password }, { timeoutMs: 100 })).code);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  expect(new Set(codes)).toEqual(new Set(['deadline_exceeded', 'resource_exhausted']));
  await eventually(async () => (await failures()) === 5);
  expect((await patient(auth.login, { email: person.email, password: person.password })).reason).toBe('RATE_LIMITED');
}, 60_000);

test('attackers on other networks do not block an owner on a known network', async () => {
  const owner = await registered(call);
  await signedIn(call, owner);
  // Stands for failed sign-ins from other addresses.
  const { createLimiter } = await import('../../src/limits/limiter.ts');
  const { createAccountNetworks } = await import('../../src/limits/account-networks.ts');
  const { createRedisFallback } = await import('../../src/limits/redis-fallback.ts');
  const { readConfig } = await import('../../src/config/config.ts');
  const { connectRedis } = await import('../../src/redis/connect-redis.ts');
  const { accountHash } = await import('../../src/domain/account-hash.ts');
  const { derivePurposeKeys } = await import('../../src/keys/purpose-keys.ts');
  const { parseEmail } = await import('../../src/domain/email.ts');
  const config = readConfig(app.environment);
  const redis = connectRedis(config.redisUrl, {}, () => {});
  onTestFinished(() => redis.disconnect());
  const limiter = createLimiter({
    redis,
    fallback: createRedisFallback({ timeoutMs: 1_000, onFailure: () => {} }),
    limits: config.limits,
    accountNetworks: createAccountNetworks(redis, () => new Date()),
  });
  await eventually(() => redis.status === 'ready');
  const account = accountHash(parseEmail(owner.email), derivePurposeKeys(config.keys.masterKeys).accountHash);
  for (let n = 0; n < 20; n += 1) await limiter.take('LOGIN_ACCOUNT', account);

  await signedIn(call, owner);
  // They do block the owner at an unknown network, until a reset proves the owner.
  await redis.del(...(await redis.keys(`latchkey:place:${account}`)));
  expect((await call(auth.login, { email: owner.email, password: owner.password })).reason).toBe('RATE_LIMITED');
  await call(auth.requestReset, { email: owner.email });
  const mail = await eventually(() => app.mailbox.mails.find(({ to }) => to === owner.email));
  const newPassword = 'a newer pass phrase';
  await call(auth.confirmReset, { resetToken: mail.link?.split('#token=')[1] ?? '', newPassword });
  // After a reset every network works, not only the one of the reset.
  await redis.del(...(await redis.keys(`latchkey:place:${account}`)));
  await signedIn(call, { ...owner, password: newPassword });
});

test('an overloaded service uses up no attempt', async () => {
  const small = await startTestApp({
    ...LIMITS,
    HASH_CONCURRENCY: '1',
    HASH_QUEUE_LENGTH: '0',
    ARGON2_MEMORY_KIB: '32768',
  });
  onTestFinished(() => small.close());
  const callSmall = viaFetch(small.url);
  const person = await registered(callSmall);
  for (let round = 0; round < 6; round += 1) {
    const busy = callSmall(auth.login, { email: newPerson().email, password: 'keeps it busy' });
    await new Promise((resolve) => setTimeout(resolve, 15));
    await callSmall(auth.login, { email: person.email, password: person.password });
    await busy;
  }
  await signedIn(callSmall, person);
});

test('without Redis the limit is stricter and stays in force', async () => {
  const alone = await startTestApp({ ...LIMITS, REDIS_URL: 'redis://127.0.0.1:1' }, { api: true, worker: false });
  onTestFinished(() => alone.close());
  const callAlone = viaFetch(alone.url);
  const person = await registered(callAlone);
  await signedIn(callAlone, person);
  const outcomes = await fail(person.email, 50, callAlone);
  expect(outcomes.filter(({ reason }) => reason === 'CREDENTIALS_INVALID')).toHaveLength(2);
  expect(outcomes.filter(({ reason }) => reason === 'RATE_LIMITED')).toHaveLength(48);
  expect(alone.logs.some((line) => line.includes('limits are counted in this process'))).toBe(true);
});
