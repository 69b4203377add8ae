// Budgets of the whole deployment: while one is exceeded every network keeps a quarter of its points, and none is blocked.
import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, type Outcome, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered } from '../support/people.ts';

const LIMITS = {
  LIMIT_LOGIN_NETWORK: '16/900',
  LIMIT_REGISTER_NETWORK: '16/900',
  LIMIT_REQUEST_RESET_NETWORK: '16/900',
  LIMIT_MAIL_DOMAIN: '16/900',
};

async function start(overrides: Environment, parts = { api: true, worker: true }): Promise<[TestApp, Caller]> {
  const app = await startTestApp({ ...LIMITS, ...overrides }, parts);
  onTestFinished(() => app.close());
  return [app, viaFetch(app.url)];
}

/** Another process on the same Postgres and Redis. */
async function startBeside({ environment }: TestApp): Promise<Caller> {
  const other = await startApp(
    readConfig(environment),
    { api: true, worker: false },
    createLogger('info', { write: () => {} }),
  );
  onTestFinished(() => other.close());
  return viaFetch(`http://127.0.0.1:${other.port}`);
}

type Attempt = (caller: Caller) => Promise<Outcome>;

/** An address in a /24 that no other number has. */
function from(site: number, caller: Caller): Caller {
  const headers = { 'x-client-address': `10.${site >> 8}.${site & 255}.1` };
  return (method, input) => caller(method, input, { bearer: SERVICE_KEY, headers });
}

const signIn: Attempt = (caller) => caller(auth.login, { email: newPerson().email, password: 'a wrong pass phrase' });
const signUp: Attempt = (caller) => caller(auth.register, newPerson());
const mailTo =
  (domain: string): Attempt =>
  (caller) =>
    caller(auth.requestReset, { email: `${randomUUID()}@${domain}` });
let domains = 0;
/** Each one to a domain of its own. */
const mail: Attempt = (caller) => mailTo(`d${++domains}.example`)(caller);

async function passed(times: number, attempt: Attempt, caller: Caller): Promise<number> {
  let count = 0;
  for (let n = 0; n < times; n += 1) if ((await attempt(caller)).reason !== 'RATE_LIMITED') count += 1;
  return count;
}

/** One attempt from each of so many networks. */
async function fromMany(networks: number, firstSite: number, attempt: Attempt, caller: Caller): Promise<number> {
  let count = 0;
  for (let n = 0; n < networks; n += 1) count += await passed(1, attempt, from(firstSite + n, caller));
  return count;
}

test.each([
  ['GLOBAL_SIGN_INS', signIn],
  ['GLOBAL_SIGN_UPS', signUp],
  ['GLOBAL_MAILS', mail],
  ['GLOBAL_MAIL_DOMAIN', mailTo('big.example')],
])('%s, once exceeded, leaves each network a quarter, at every process', async (name, attempt) => {
  const [app, call] = await start({ [`LIMIT_${name}`]: '20/120' });
  const other = await startBeside(app);
  expect(await passed(10, attempt, from(1, call))).toBe(10);
  expect(await fromMany(11, 100, attempt, call)).toBe(11);
  for (const caller of [call, other]) {
    // The network that has used more than its quarter waits for the budget, and not for the whole window of its own limit.
    const rejected = await attempt(from(1, caller));
    expect(rejected.reason).toBe('RATE_LIMITED');
    expect(rejected.retryAfterSeconds).toBeLessThanOrEqual(120);
  }
  expect(await passed(8, attempt, from(300, other))).toBe(4);
  expect(await fromMany(8, 400, attempt, other)).toBe(8);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const { rows } = await app.owner.query("SELECT detail FROM audit_events WHERE type = 'throttled'");
  expect(rows).toEqual([{ detail: name }]);
});

test('a network has all its points again when the window of the budget ends', async () => {
  const [, call] = await start({ LIMIT_GLOBAL_SIGN_INS: '10/5' });
  expect(await fromMany(11, 100, signIn, call)).toBe(11);
  expect(await passed(8, signIn, from(1, call))).toBe(4);
  await new Promise((resolve) => setTimeout(resolve, 5_200));
  expect(await passed(8, signIn, from(1, call))).toBe(8);
}, 30_000);

test('an exceeded budget of one domain does not affect the others', async () => {
  const [, call] = await start({ LIMIT_GLOBAL_MAIL_DOMAIN: '20/120' });
  await fromMany(21, 100, mailTo('victim.example'), call);
  expect(await passed(8, mailTo('victim.example'), from(1, call))).toBe(4);
  expect(await passed(8, mailTo('other.example'), from(2, call))).toBe(8);
});

test('an owner can sign in during an attack from other networks, and successful sign-ins use up no attempts of the network', async () => {
  const [, call] = await start({ LIMIT_GLOBAL_SIGN_INS: '20/120' });
  const { email, password } = await registered(call);
  expect(await fromMany(25, 100, signIn, call)).toBe(25);
  expect(await passed(10, (one) => one(auth.login, { email, password }), from(1, call))).toBe(10);
});

test('without Redis each process has half of a budget', async () => {
  const without = { LIMIT_GLOBAL_SIGN_INS: '20/120', REDIS_URL: 'redis://127.0.0.1:1' };
  const [, call] = await start(without, { api: true, worker: false });
  expect(await fromMany(11, 100, signIn, call)).toBe(11);
  expect(await passed(8, signIn, from(1, call))).toBe(2);
});
