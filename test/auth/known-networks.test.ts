// Known networks: failed sign-ins of attackers on other networks do not block an owner on a known one.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectRedis, type RedisClient } from '../../src/redis/connect-redis.ts';
import { testApp } from '../support/app.ts';
import { account, admin, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, type Person, registered, type SignedIn, signedInWith } from '../support/people.ts';

const app = await testApp({
  TRUSTED_PROXIES: '127.0.0.1',
  LIMIT_LOGIN_ACCOUNT: '2/900',
  LIMIT_LOGIN_PAIR: '5/900',
  LIMIT_REQUEST_RESET_ACCOUNT: '3/3600',
});
const { call } = app;
let redis: RedisClient;
let boss: SignedIn;

beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
  redis = connectRedis(app.environment.REDIS_URL as string, {}, () => {});
  await eventually(() => redis.status === 'ready');
});
afterAll(async () => {
  redis.disconnect();
});

const [HOME, OFFICE, THIEF] = ['192.0.2.1', '198.51.100.2', '203.0.113.3'];

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
const signIn = (person: Person, address: string) =>
  call(auth.login, { email: person.email, password: person.password }, from(address));

/** Uses up the account's limit from networks that it does not know. */
async function attack(person: Person): Promise<void> {
  for (let n = 0; n < 4; n += 1) {
    await call(auth.login, { email: person.email, password: 'wrong' }, from(`203.0.113.${100 + n}`));
  }
}

/** Whether the owner can sign in from that network while attackers use up the limit. */
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

test('ChangePassword forgets all known networks except the caller’s', async () => {
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

test('ConfirmReset forgets all known networks except the caller’s', async () => {
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

describe('an owner at a new network, whose account is under attack,', () => {
  const confirm = (networkToken: string, address: string) => call(auth.confirmNetwork, { networkToken }, from(address));

  test('gets an e-mail, and can sign in from the confirmed network only', async () => {
    const person = await registered(call);
    expect(await isKnown(person, OFFICE)).toBe(false);
    const token = await linkTo(person, '/confirm-network');
    expect(token).toMatch(/^lkn_[A-Za-z0-9_-]{64}$/);
    expect(await confirm(token, OFFICE)).toEqual({ code: 'ok', body: {} });
    expect(await isKnown(person, OFFICE)).toBe(true);
    expect((await signIn(person, HOME)).reason).toBe('RATE_LIMITED');
    // The password is still required.
    const wrong = await call(auth.login, { email: person.email, password: 'wrong' }, from(OFFICE));
    expect(wrong.reason).toBe('CREDENTIALS_INVALID');
    const { rows } = await eventually(async () => {
      const found = await app.owner.query(
        "SELECT user_id FROM audit_events WHERE type = 'network_confirmed' AND user_id = $1",
        [person.userId],
      );
      return found.rowCount === 1 ? found : null;
    });
    expect(rows).toHaveLength(1);
  });

  test('can use a token once, even with eight calls at once', async () => {
    const person = await registered(call);
    await attack(person);
    const token = await linkTo(person, '/confirm-network');
    const outcomes = await Promise.all(Array.from({ length: 8 }, (_, n) => confirm(token, `192.0.2.${n}`)));
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    expect(outcomes.filter(({ reason }) => reason === 'NETWORK_TOKEN_INVALID')).toHaveLength(7);
  });

  test('gets one e-mail an hour during an attack of any length', async () => {
    const person = await registered(call);
    const mails = () =>
      app.mailbox.mails.filter(({ to, link }) => to === person.email && link?.includes('/confirm-network'));
    await attack(person);
    await linkTo(person, '/confirm-network');
    // The next window of LOGIN_ACCOUNT has its own first rejection.
    await redis.del(...(await redis.keys('latchkey:limit:LOGIN_ACCOUNT:*')));
    await attack(person);
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    expect(mails()).toHaveLength(1);
  });

  test('gets the e-mail also when attackers have used up the resets', async () => {
    const person = await registered(call);
    for (let n = 0; n < 4; n += 1) await call(auth.requestReset, { email: person.email }, from(`203.0.113.${n}`));
    await attack(person);
    expect((await confirm(await linkTo(person, '/confirm-network'), OFFICE)).code).toBe('ok');
  });

  test('cannot use a token after an hour, with another password, for a disabled account, or of another kind', async () => {
    const spoilt: Record<string, (person: Person & { userId: string }, token: string) => Promise<string>> = {
      'an hour later': async (_, token) => {
        app.advance(3_601_000);
        return token;
      },
      'with another password': async ({ userId }, token) => {
        await app.owner.query('UPDATE users SET password_epoch = password_epoch + 1 WHERE id = $1', [userId]);
        return token;
      },
      'of a disabled account': async ({ userId }, token) => {
        await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [userId]);
        return token;
      },
      'as a token of another kind': async ({ email }) => {
        await call(auth.requestReset, { email });
        return linkTo({ email, password: '', fullName: '' }, '/reset-password');
      },
      changed: async (_, token) => `${token.slice(0, -9)}${[...token.slice(-9)].reverse().join('')}`,
      empty: async () => '',
    };
    for (const [what, spoil] of Object.entries(spoilt)) {
      const person = await registered(call);
      await attack(person);
      const token = await spoil(person, await linkTo(person, '/confirm-network'));
      expect([what, (await confirm(token, OFFICE)).reason]).toEqual([what, 'NETWORK_TOKEN_INVALID']);
    }
  });
});

test('unknown, disabled and passwordless accounts get no e-mail, and the responses are the same', async () => {
  const [known, disabled, passwordless] = [await registered(call), await registered(call), await registered(call)];
  await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [disabled.userId]);
  await app.owner.query('UPDATE users SET password_hash = NULL WHERE id = $1', [passwordless.userId]);
  const people = [known, disabled, passwordless, newPerson()];
  const answers = [];
  for (const { email } of people) {
    const of = [];
    for (let n = 0; n < 4; n += 1) {
      const { retryAfterSeconds, retryAfterHeader, ...rest } = await call(
        auth.login,
        { email, password: 'wrong' },
        from(`203.0.113.${n}`),
      );
      of.push(rest);
    }
    answers.push(JSON.stringify(of));
  }
  expect(new Set(answers).size).toBe(1);
  await linkTo(known, '/confirm-network');
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const others = people.slice(1).map(({ email }) => email);
  expect(app.mailbox.mails.filter(({ to }) => others.includes(to))).toEqual([]);
});
