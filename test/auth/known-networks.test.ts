// Networks that an account has signed in from: there an owner is not held back by what strangers tried elsewhere.
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRedis } from '../../src/redis.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { account, admin, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type Person, registered, type SignedIn, signedInWith } from '../support/people.ts';

let app: TestApp;
let call: Caller;
let redis: Redis;
let boss: SignedIn;

beforeAll(async () => {
  app = await startTestApp({
    TRUSTED_PROXIES: '127.0.0.1',
    LIMIT_LOGIN_ACCOUNT: '2/900',
    LIMIT_LOGIN_PAIR: '5/900',
  });
  call = viaFetch(app.url);
  boss = await signedInWith(app, call, ['admin']);
  redis = openRedis(app.environment.REDIS_URL as string, {}, () => {});
  await eventually(() => redis.status === 'ready');
});
afterAll(async () => {
  redis.disconnect();
  await app.close();
});

const [HOME, OFFICE, THIEF] = ['192.0.2.1', '198.51.100.2', '203.0.113.3'];

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
const signIn = (person: Person, address: string) =>
  call(auth.login, { email: person.email, password: person.password }, from(address));

/** Uses up the account's limit, from networks that it does not know. */
async function attack(person: Person): Promise<void> {
  for (let n = 0; n < 4; n += 1) {
    await call(auth.login, { email: person.email, password: 'wrong' }, from(`203.0.113.${100 + n}`));
  }
}

/** Whether the account is let in from there while strangers attack it. */
async function isKnown(person: Person, address: string): Promise<boolean> {
  await attack(person);
  return (await signIn(person, address)).code === 'ok';
}

async function linkTo(person: Person, path: string): Promise<string> {
  const mail = await eventually(() =>
    app.mailbox.mails.findLast(({ to, link }) => to === person.email && link?.includes(path)),
  );
  return mail.link?.split('#token=')[1] ?? '';
}

test('ChangePassword forgets all known networks but the caller’s', async () => {
  const person = await registered(call);
  await signIn(person, THIEF);
  const { body } = await signIn(person, HOME);
  const newPassword = `another one ${randomUUID()}`;
  const change = { currentPassword: person.password, newPassword };
  const bearer = body.tokens.accessToken;
  expect((await call(account.changePassword, change, { bearer, ...from(HOME) })).code).toBe('ok');
  const after = { ...person, password: newPassword };
  expect(await isKnown(after, HOME)).toBe(true);
  expect(await isKnown(after, THIEF)).toBe(false);
});

test('ConfirmReset forgets all known networks but the caller’s', async () => {
  const person = await registered(call);
  await signIn(person, THIEF);
  await call(auth.requestReset, { email: person.email });
  const resetToken = await linkTo(person, '/reset-password');
  const after = { ...person, password: `another one ${randomUUID()}` };
  const done = await call(auth.confirmReset, { resetToken, newPassword: after.password }, from(HOME));
  expect(done.code).toBe('ok');
  expect(await isKnown(after, HOME)).toBe(true);
  expect(await isKnown(after, THIEF)).toBe(false);
});

test.each(['DeleteUser', 'DeleteMe'])(
  '%s forgets all known networks, so that the next holder of the address begins without',
  async (by) => {
    const person = await registered(call);
    const { body } = await signIn(person, OFFICE);
    const places = await redis.keys('latchkey:place:*');
    const gone =
      by === 'DeleteMe'
        ? await call(account.deleteMe, { currentPassword: person.password }, { bearer: body.tokens.accessToken })
        : await call(admin.deleteUser, { userId: person.userId, reason: 'asked for it' }, { bearer: boss.accessToken });
    expect(gone.code).toBe('ok');
    expect(await redis.keys('latchkey:place:*')).toHaveLength(places.length - 1);
    const next = await registered(call, person);
    expect(await isKnown(next, OFFICE)).toBe(false);
  },
);
