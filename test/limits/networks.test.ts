// Limits by network, for an attacker with many addresses of few networks.
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { SERVICE_KEY, startTestApp, testApp } from '../support/app.ts';
import { auth, type Caller, type Outcome, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, signedIn } from '../support/people.ts';

const app = await testApp({
  LIMIT_REQUEST_RESET_NETWORK: '30/3600',
  LIMIT_LOGIN_NETWORK: '100/900',
  LIMIT_VERIFY_EMAIL_NETWORK: '4/900',
});
const { call } = app;

/** Calls as a back end that passes the address of its user. */
function from(address: string, caller = call): Caller {
  return (method, input) => caller(method, input, { bearer: SERVICE_KEY, headers: { 'x-client-address': address } });
}

const ask = (address: string) => from(address)(auth.requestReset, { email: newPerson().email });
const spray = (address: string, caller = call) =>
  from(address, caller)(auth.login, { email: newPerson().email, password: 'a wrong pass phrase' });
const guess = (address: string) => from(address)(auth.verifyEmail, { verificationToken: 'lkv_x' });

/** Ten at a time: with more at once, calls exceed the time that Redis has. */
async function passed(times: number, attempt: (n: number) => Promise<Outcome>): Promise<number> {
  let count = 0;
  for (let n = 0; n < times; n += 10) {
    const outcomes = await Promise.all(Array.from({ length: 10 }, (_, k) => attempt(n + k)));
    count += outcomes.filter(({ reason }) => reason !== 'RATE_LIMITED').length;
  }
  return count;
}

async function oneByOne(addresses: string[], attempt: (address: string) => Promise<Outcome>): Promise<string> {
  let marks = '';
  for (const address of addresses) marks += (await attempt(address)).reason === 'RATE_LIMITED' ? '-' : '+';
  return marks;
}

test('six /64 of one /48 get 45 of 150 reset e-mails', async () => {
  expect(await passed(150, (n) => ask(`2001:db8:1:${(n % 6) + 1}00::${n + 1}`))).toBe(45);
});

test('one /64 gets 30 reset e-mails, and one /56 gets 38', async () => {
  expect(await passed(60, (n) => ask(`2001:db8:2:7::${n + 1}`))).toBe(30);
  expect(await passed(60, (n) => ask(`2001:db8:3:${n % 6}::1`))).toBe(38);
});

test.each([
  ['five /64 of one /48', (n: number) => `2001:db8:4:${(n % 5) + 1}00::${n + 1}`],
  ['five addresses of one /24', (n: number) => `198.51.100.${(n % 5) + 1}`],
  ['five mapped addresses of one /24', (n: number) => `::ffff:203.0.113.${(n % 5) + 1}`],
])('150 of 200 sign-ins sprayed from %s pass, and another network is not affected', async (_, address) => {
  expect(await passed(200, (n) => spray(address(n)))).toBe(150);
  expect((await spray('2001:db8:5::1')).reason).toBe('CREDENTIALS_INVALID');
  expect((await spray('192.0.2.1')).reason).toBe('CREDENTIALS_INVALID');
});

test('an attempt that a wider network rejects is given back to the narrower ones', async () => {
  const redis = new Redis(app.environment.REDIS_URL ?? '');
  onTestFinished(() => redis.disconnect());
  const [a, b, c] = ['192.0.2.10', '192.0.2.11', '192.0.2.12'];
  expect(await oneByOne([a, a, a, b, b, b, b, c, b], guess)).toBe('++++++---');
  const count = (network: string) => redis.get(`latchkey:limit:VERIFY_EMAIL_NETWORK:${network}`);
  expect(await Promise.all([a, b, c, '192.0.2.0/24'].map(count))).toEqual(['3', '3', '0', '9']);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const { rows } = await app.owner.query(
    "SELECT address FROM audit_events WHERE type = 'throttled' AND detail = 'VERIFY_EMAIL_NETWORK'",
  );
  expect(rows).toEqual([{ address: b }]);
});

test('successful sign-ins use up no points of any network', async () => {
  const call24 = (n: number) => from(`198.18.0.${n}`);
  const person = await signedIn(call24(1));
  for (let n = 0; n < 4; n += 1) await signedIn(call24(n), { ...person });
  expect(await passed(200, (n) => spray(`198.18.0.${n % 5}`))).toBe(150);
});

test('without Redis half as many pass', async () => {
  const alone = await startTestApp(
    { LIMIT_LOGIN_NETWORK: '100/900', REDIS_URL: 'redis://127.0.0.1:1' },
    { api: true, worker: false },
  );
  onTestFinished(() => alone.close());
  const caller = viaFetch(alone.url);
  expect(await passed(200, (n) => spray(`2001:db8:4:${(n % 5) + 1}00::1`, caller))).toBe(75);
  expect(await passed(200, (n) => spray(`198.51.100.${n % 5}`, caller))).toBe(75);
});

test('a network that nears a limit is logged once in its window, with the remedy', async () => {
  const lines = (limit: string, network: string) =>
    app.logs.map((line) => JSON.parse(line)).filter((line) => line.limit === limit && line.network === network);
  for (let n = 0; n < 2; n += 1) await guess('100.64.9.7');
  expect(lines('VERIFY_EMAIL_NETWORK', '100.64.9.7')).toEqual([]);
  for (let n = 0; n < 8; n += 1) await guess('100.64.9.7');
  expect(lines('VERIFY_EMAIL_NETWORK', '100.64.9.7')).toMatchObject([
    { level: 'warn', msg: expect.stringMatching(/TRUSTED_PROXIES.*x-client-address/) },
  ]);
  for (let n = 0; n < 10; n += 1) await guess('2001:db8:77::1');
  expect(lines('VERIFY_EMAIL_NETWORK', '2001:db8:77:0::/64')).toHaveLength(1);
});
