import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isGood, refreshed, registered, signedIn, somebody } from '../support/people.ts';

let app: TestApp;
let strict: TestApp;
let call: Caller;
beforeAll(async () => {
  [app, strict] = await Promise.all([startTestApp(), startTestApp({ REQUIRE_EMAIL_VERIFICATION: 'on' })]);
  call = viaFetch(app.url);
});
afterAll(() => Promise.all([app.close(), strict.close()]));

async function mailTo(of: TestApp, email: string, subject: string, count = 1) {
  const mails = await eventually(() => {
    const found = of.mailbox.mails.filter((mail) => mail.to === email && mail.subject === subject);
    return found.length >= count ? found : null;
  });
  return mails.at(-1) as (typeof mails)[number];
}

async function tokenFor(
  of: TestApp,
  email: string,
  subject = 'Confirm your email address',
  count = 1,
): Promise<string> {
  return (await mailTo(of, email, subject, count)).link?.split('#token=')[1] ?? '';
}

const verify = (verificationToken: string, of: Caller = call) => of(auth.verifyEmail, { verificationToken });
const isVerified = async (of: TestApp, email: string) =>
  (await of.owner.query('SELECT email_verified_at FROM users WHERE email = $1', [email])).rows[0].email_verified_at !==
  null;

describe('a verification', () => {
  test('proves the address once, with the token from the mail', async () => {
    const person = await signedIn(call);
    expect(await call(auth.requestEmailVerification, { email: person.email })).toEqual({ code: 'ok', body: {} });
    const mail = await mailTo(app, person.email, 'Confirm your email address');
    expect(mail.link).toMatch(/^https:\/\/product\.example\/verify-email#token=lkv_[A-Za-z0-9_-]{64}$/);
    const token = await tokenFor(app, person.email);
    expect(await isVerified(app, person.email)).toBe(false);
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => verify(token)));
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    expect(await verify(token)).toMatchObject({ code: 'failed_precondition', reason: 'VERIFICATION_TOKEN_INVALID' });
    // The process that has answered rejects the old claim at once, and the next token has the new one.
    expect((await call(account.getMe, {}, { bearer: person.accessToken })).reason).toBe('TOKEN_STALE');
    const { accessToken } = await refreshed(call, person);
    expect((await call(account.getMe, {}, { bearer: accessToken })).body.user.emailVerified).toBe(true);
    expect((await call(auth.verify, { accessToken })).body.principal.emailVerified).toBe(true);
    const { rows } = await eventually(async () => {
      const events = await app.owner.query("SELECT FROM audit_events WHERE type = 'email_verified'");
      return events.rowCount ? events : null;
    });
    expect(rows).toHaveLength(1);
  });

  test('is not sent to who has none to prove, and the answer is the same', async () => {
    const [unknown, verified] = [somebody(), await registered(call)];
    await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [verified.userId]);
    for (const { email } of [unknown, verified]) {
      expect(await call(auth.requestEmailVerification, { email })).toEqual({ code: 'ok', body: {} });
    }
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    expect(app.mailbox.mails.filter(({ to }) => to === unknown.email || to === verified.email)).toEqual([]);
  });

  test.each([
    [
      'a reset token',
      async (email: string) => {
        await call(auth.requestReset, { email });
        return (await mailTo(app, email, 'Set a new password')).link?.split('#token=')[1] ?? '';
      },
    ],
    ['nothing', async () => ''],
    ['garbage', async () => `lkv_${'A'.repeat(64)}`],
  ])('is not made by %s', async (_, make) => {
    const person = await registered(call);
    expect((await verify(await make(person.email))).reason).toBe('VERIFICATION_TOKEN_INVALID');
  });

  test('expires, and dies with a newer password, another address and a disabled account', async () => {
    const changes: [string, (id: string) => Promise<unknown>][] = [
      ['password', (id) => app.owner.query('UPDATE users SET password_epoch = password_epoch + 1 WHERE id = $1', [id])],
      ['address', (id) => app.owner.query("UPDATE users SET email = 'other-' || email WHERE id = $1", [id])],
      ['disabled', (id) => app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [id])],
      [
        'expired',
        (id) => app.owner.query('UPDATE email_verifications SET expires_at = created_at WHERE user_id = $1', [id]),
      ],
    ];
    for (const [what, change] of changes) {
      const person = await registered(call);
      await call(auth.requestEmailVerification, { email: person.email });
      const token = await tokenFor(app, person.email);
      await change(person.userId);
      expect([what, (await verify(token)).reason]).toEqual([what, 'VERIFICATION_TOKEN_INVALID']);
    }
  });
});

describe('where addresses must be verified', () => {
  const strictly: Caller = (...input) => viaFetch(strict.url)(...input);

  test('Register says the same for new and taken addresses; the mail says which', async () => {
    const person = somebody();
    const first = await strictly(auth.register, person);
    const again = await strictly(auth.register, { ...somebody(), email: person.email });
    expect(first).toEqual({ code: 'ok', body: {} });
    expect(again).toEqual(first);
    await mailTo(strict, person.email, 'Confirm your email address');
    const taken = await mailTo(strict, person.email, 'You have an account already');
    expect(taken.text).not.toContain(person.fullName);
    expect((await strict.owner.query('SELECT FROM users WHERE email = $1', [person.email])).rowCount).toBe(1);
  });

  test('a stranger cannot fill a mailbox: mails to one address are counted, whoever causes them, and for new and taken ones alike', async () => {
    const strictest = await startTestApp({
      REQUIRE_EMAIL_VERIFICATION: 'on',
      LIMIT_REQUEST_VERIFICATION_ACCOUNT: '2/900',
      LIMIT_REGISTER_ACCOUNT: '1/900',
    });
    onTestFinished(() => strictest.close());
    const ask = viaFetch(strictest.url);
    const [person, victim] = [somebody(), somebody()];
    await ask(auth.register, person);
    await verify(await tokenFor(strictest, person.email), ask);
    const { accessToken } = await signedIn(ask, { ...person, userId: '' });
    const outcomes = [
      await ask(auth.requestEmailVerification, { email: victim.email }),
      await ask(account.changeEmail, { newEmail: victim.email }, { bearer: accessToken }),
      await ask(account.changeEmail, { newEmail: victim.email }, { bearer: accessToken }),
      await ask(auth.requestEmailVerification, { email: victim.email }),
      // Who owns the address can register all the same.
      await ask(auth.register, victim),
      await ask(auth.register, victim),
      await ask(auth.register, { ...victim, email: person.email }),
    ];
    const limited = 'RATE_LIMITED';
    expect(outcomes.map(({ reason }) => reason)).toEqual([
      undefined,
      undefined,
      limited,
      limited,
      undefined,
      limited,
      limited,
    ]);
  });

  test('nobody signs in before, and the refusal is that of a wrong password', async () => {
    const person = somebody();
    await strictly(auth.register, person);
    const { email, password } = person;
    const unverified = await strictly(auth.login, { email, password });
    expect(unverified).toEqual(await strictly(auth.login, { email, password: 'a wrong pass phrase' }));
    expect(unverified.reason).toBe('CREDENTIALS_INVALID');
    await verify(await tokenFor(strict, email), strictly);
    expect((await strictly(auth.login, { email, password })).code).toBe('ok');
  });

  test('a reset proves the address as well', async () => {
    const person = somebody();
    await strictly(auth.register, person);
    await strictly(auth.requestReset, { email: person.email });
    const resetToken = (await mailTo(strict, person.email, 'Set a new password')).link?.split('#token=')[1] ?? '';
    await strictly(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' });
    const outcome = await strictly(auth.login, { email: person.email, password: 'a brand new pass phrase' });
    expect(outcome.code).toBe('ok');
    const { accessToken } = outcome.body.tokens;
    expect((await strictly(auth.verify, { accessToken })).body.principal.emailVerified).toBe(true);
  });
});

describe('another address', () => {
  const change = (bearer: string, newEmail: string, currentPassword = '') =>
    call(account.changeEmail, { newEmail, currentPassword }, { bearer });

  test('is the account’s once its mail was answered; the old one hears of it, and old tokens are stale', async () => {
    const person = await signedIn(call);
    const { email: next } = somebody();
    expect(await change(person.accessToken, next.toUpperCase())).toEqual({ code: 'ok', body: {} });
    const token = await tokenFor(app, next, 'Confirm your new email address');
    expect((await call(auth.login, { email: person.email, password: person.password })).code).toBe('ok');
    expect(await verify(token)).toEqual({ code: 'ok', body: {} });
    await mailTo(app, person.email, 'Your email address was changed');
    expect((await call(auth.login, { email: person.email, password: person.password })).code).toBe('unauthenticated');
    expect((await call(auth.login, { email: next, password: person.password })).body.user).toMatchObject({
      email: next,
      emailVerified: true,
    });
    expect((await call(auth.verify, { accessToken: person.accessToken })).reason).toBe('TOKEN_STALE');
    const { body } = await call(auth.refresh, { refreshToken: person.refreshToken });
    expect((await call(auth.verify, { accessToken: body.tokens.accessToken })).body.principal).toMatchObject({
      email: next,
      emailVerified: true,
    });
    expect((await verify(token)).reason).toBe('VERIFICATION_TOKEN_INVALID');
  });

  test('makes what was mailed to the old one void', async () => {
    const person = await signedIn(call);
    await call(auth.requestReset, { email: person.email });
    const resetToken = (await mailTo(app, person.email, 'Set a new password')).link?.split('#token=')[1] ?? '';
    const { email: next } = somebody();
    await change(person.accessToken, next);
    await verify(await tokenFor(app, next, 'Confirm your new email address'));
    const reset = await call(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' });
    expect(reset.reason).toBe('RESET_TOKEN_INVALID');
  });

  test('that was asked for before a reset comes to nothing, also when its mail is late', async () => {
    const late = await startTestApp({}, { api: true, worker: false });
    onTestFinished(() => late.close());
    const person = await signedIn(viaFetch(late.url));
    const asked = await viaFetch(late.url)(
      account.changeEmail,
      { newEmail: somebody().email },
      { bearer: person.accessToken },
    );
    expect(asked.code).toBe('ok');
    await late.owner.query('UPDATE users SET password_epoch = password_epoch + 1 WHERE id = $1', [person.userId]);
    const config = readConfig(late.environment);
    const worker = await startApp(config, { api: false, worker: true }, createLogger('silent'));
    onTestFinished(() => worker.close());
    await eventually(async () => (await late.owner.query('SELECT FROM outbox')).rowCount === 0);
    expect(late.mailbox.mails).toEqual([]);
    expect((await late.owner.query('SELECT FROM email_verifications')).rowCount).toBe(0);
  });

  test('that is theirs by now, by another mail, is no news', async () => {
    const person = await signedIn(call);
    const next = somebody().email;
    await change(person.accessToken, next);
    await verify(await tokenFor(app, next, 'Confirm your new email address'));
    await app.owner.query(
      `INSERT INTO outbox (id, topic, payload, created_at) VALUES (gen_random_uuid(), 'mail', $1, now())`,
      [
        JSON.stringify({
          ...{ template: 'confirm-email-change', userId: person.userId, email: next },
          ...{ accountEmail: person.email, passwordEpoch: 1 },
        }),
      ],
    );
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    expect(app.mailbox.mails.filter(({ to }) => to === next)).toHaveLength(1);
  });

  test('that has an account is not told to the caller, but to its owner', async () => {
    const [person, other] = [await signedIn(call), await registered(call)];
    expect(await change(person.accessToken, other.email)).toEqual({ code: 'ok', body: {} });
    await mailTo(app, other.email, 'You have an account already');
    expect(app.mailbox.mails.filter(({ to, subject }) => to === other.email && subject.startsWith('Confirm'))).toEqual(
      [],
    );
  });

  test('that gets an account meanwhile is that account’s', async () => {
    const person = await signedIn(call);
    const other = somebody();
    await change(person.accessToken, other.email);
    const token = await tokenFor(app, other.email, 'Confirm your new email address');
    await registered(call, other);
    expect((await verify(token)).reason).toBe('VERIFICATION_TOKEN_INVALID');
    expect(await isGood(call, person.accessToken)).toBe(true);
  });

  test('must be one, and another one', async () => {
    const person = await signedIn(call);
    for (const bad of ['x', '', person.email])
      expect((await change(person.accessToken, bad)).fields).toEqual(['new_email']);
  });
});
