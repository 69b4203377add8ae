import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, newPerson, refreshed, registered, type SignedIn, signedIn } from '../support/people.ts';

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

const verify = (verificationToken: string, proof: { password?: string; binding?: string }, of: Caller = call) =>
  of(auth.verifyEmail, { verificationToken, ...proof });
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
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => verify(token, person)));
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    expect(await verify(token, person)).toMatchObject({
      code: 'failed_precondition',
      reason: 'VERIFICATION_TOKEN_INVALID',
    });
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

  test('sends no mail for an unknown or a verified account, and the response is the same', async () => {
    const [unknown, verified] = [newPerson(), await registered(call)];
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
    ['an empty token', async () => ''],
    ['an unknown token', async () => `lkv_${'A'.repeat(64)}`],
  ])('fails with %s', async (_, make) => {
    const person = await registered(call);
    expect((await verify(await make(person.email), person)).reason).toBe('VERIFICATION_TOKEN_INVALID');
  });

  test('expires, and becomes invalid with a newer password, another address or a disabled account', async () => {
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
      expect([what, (await verify(token, person)).reason]).toEqual([what, 'VERIFICATION_TOKEN_INVALID']);
    }
  });
});

describe('a verification proves that the reader owns the account', () => {
  /** An attacker registers the address of another person, with a password that the attacker knows. */
  async function opened(of: Caller = call, where = app) {
    const person = newPerson();
    const { body } = await of(auth.register, person);
    await of(auth.requestEmailVerification, { email: person.email });
    return { ...person, binding: body.binding as string, token: await tokenFor(where, person.email) };
  }

  test('the link alone and the proof of another user are rejected, and the token stays valid', async () => {
    const [victim, other] = [await opened(), await opened()];
    const stranger = await signedIn(call);
    for (const proof of [
      {},
      { binding: other.binding },
      { binding: `lkg_${'A'.repeat(43)}` },
      { binding: `${victim.binding} ` },
      { password: 'a wrong pass phrase' },
      { password: victim.email },
    ]) {
      expect(await verify(victim.token, proof)).toMatchObject({
        code: 'failed_precondition',
        reason: 'VERIFICATION_OWNER_REQUIRED',
      });
    }
    const signedInAs = { bearer: stranger.accessToken };
    const outcome = await call(auth.verifyEmail, { verificationToken: victim.token }, signedInAs);
    expect(outcome.reason).toBe('VERIFICATION_OWNER_REQUIRED');
    expect(outcome.message).toContain('password');
    expect(await isVerified(app, victim.email)).toBe(false);
    expect((await verify(victim.token, { password: victim.password })).code).toBe('ok');
  });

  test.each<[string, (person: Awaited<ReturnType<typeof opened>>) => ReturnType<Caller>]>([
    ['the password', ({ token, password }) => verify(token, { password })],
    ['the browser that registered', ({ token, binding }) => verify(token, { binding })],
    [
      'the account’s session',
      async ({ token, ...person }) => {
        const { accessToken } = await signedIn(call, { ...person, userId: '' });
        return call(auth.verifyEmail, { verificationToken: token }, { bearer: accessToken });
      },
    ],
    [
      'the password, through a back end that calls for its users',
      ({ token, password }) => call(auth.verifyEmail, { verificationToken: token, password }, { bearer: SERVICE_KEY }),
    ],
  ])('is accepted with %s', async (_, confirm) => {
    const person = await opened();
    expect(await confirm(person)).toEqual({ code: 'ok', body: {} });
    expect(await isVerified(app, person.email)).toBe(true);
  });

  test('the victim of such a registration sets a new password instead, and the attacker keeps no access', async () => {
    const victim = await opened();
    await call(auth.requestReset, { email: victim.email });
    const resetToken = (await mailTo(app, victim.email, 'Set a new password')).link?.split('#token=')[1] ?? '';
    await call(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' });
    expect(await isVerified(app, victim.email)).toBe(true);
    expect((await call(auth.login, { email: victim.email, password: victim.password })).code).toBe('unauthenticated');
    expect((await verify(victim.token, { binding: victim.binding })).reason).toBe('VERIFICATION_TOKEN_INVALID');
  });

  test('the registration binding of a taken address proves nothing', async () => {
    const strictly: Caller = (...input) => viaFetch(strict.url)(...input);
    const person = newPerson();
    const mine = (await strictly(auth.register, person)).body.binding;
    const theirs = (await strictly(auth.register, { ...newPerson(), email: person.email })).body.binding;
    const token = await tokenFor(strict, person.email);
    expect((await verify(token, { binding: theirs }, strictly)).reason).toBe('VERIFICATION_OWNER_REQUIRED');
    expect((await verify(token, { binding: mine }, strictly)).code).toBe('ok');
  });

  test('password attempts are limited for each token, and audited', async () => {
    const few = await startTestApp({ LIMIT_VERIFY_EMAIL_TOKEN: '3/900' });
    onTestFinished(() => few.close());
    const ask = viaFetch(few.url);
    const person = await opened(ask, few);
    const guesses = [];
    for (let n = 0; n < 5; n += 1) guesses.push((await verify(person.token, { password: `a guess ${n}` }, ask)).reason);
    const required = 'VERIFICATION_OWNER_REQUIRED';
    expect(guesses).toEqual([required, required, required, 'RATE_LIMITED', 'RATE_LIMITED']);
    await eventually(async () => {
      const events = await few.owner.query("SELECT FROM audit_events WHERE type = 'reauthentication_failed'");
      return events.rowCount === 3;
    });
  });

  test('a new address is confirmed by the session or the password, and not by the registration binding', async () => {
    const person = await opened();
    const session = await signedIn(call, { ...person, userId: '' });
    const next = newPerson().email;
    const input = { newEmail: next, currentPassword: person.password };
    expect((await call(account.changeEmail, input, { bearer: session.accessToken })).code).toBe('ok');
    const token = await tokenFor(app, next, 'Confirm your new email address');
    for (const proof of [{}, { binding: person.binding }, { password: 'a wrong pass phrase' }]) {
      expect((await verify(token, proof)).reason).toBe('VERIFICATION_OWNER_REQUIRED');
    }
    expect((await call(auth.verifyEmail, { verificationToken: token }, { bearer: session.accessToken })).code).toBe(
      'ok',
    );
  });

  test('an invalid access token returns the usual error', async () => {
    const person = await opened();
    const outcome = await call(auth.verifyEmail, { verificationToken: person.token }, { bearer: 'x' });
    expect(outcome.reason).toBe('TOKEN_INVALID');
  });
});

describe('where addresses must be verified', () => {
  const strictly: Caller = (...input) => viaFetch(strict.url)(...input);

  test('Register responds alike for new and taken addresses, and the e-mail differs', async () => {
    const person = newPerson();
    const first = await strictly(auth.register, person);
    const again = await strictly(auth.register, { ...newPerson(), email: person.email });
    const binding = expect.stringMatching(/^lkg_[A-Za-z0-9_-]{43}$/);
    expect(first).toEqual({ code: 'ok', body: { binding } });
    expect(again).toEqual({ code: 'ok', body: { binding } });
    expect(again.body.binding).not.toBe(first.body.binding);
    await mailTo(strict, person.email, 'Confirm your email address');
    const taken = await mailTo(strict, person.email, 'You already have an account');
    expect(taken.text).not.toContain(person.fullName);
    expect((await strict.owner.query('SELECT FROM users WHERE email = $1', [person.email])).rowCount).toBe(1);
  });

  test('an attacker cannot flood a mailbox: mails to one address are counted for all callers, alike for new and taken addresses', async () => {
    const strictest = await startTestApp({
      REQUIRE_EMAIL_VERIFICATION: 'on',
      LIMIT_REQUEST_VERIFICATION_ACCOUNT: '2/900',
      LIMIT_REGISTER_ACCOUNT: '1/900',
    });
    onTestFinished(() => strictest.close());
    const ask = viaFetch(strictest.url);
    const [person, victim] = [newPerson(), newPerson()];
    await ask(auth.register, person);
    await verify(await tokenFor(strictest, person.email), person, ask);
    const { accessToken, password: currentPassword } = await signedIn(ask, { ...person, userId: '' });
    const outcomes = [
      await ask(auth.requestEmailVerification, { email: victim.email }),
      await ask(account.changeEmail, { newEmail: victim.email, currentPassword }, { bearer: accessToken }),
      await ask(account.changeEmail, { newEmail: victim.email, currentPassword }, { bearer: accessToken }),
      await ask(auth.requestEmailVerification, { email: victim.email }),
      // The owner of the address can still register.
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

  test('an unverified account cannot sign in, and the error is that of a wrong password', async () => {
    const person = newPerson();
    await strictly(auth.register, person);
    const { email, password } = person;
    const unverified = await strictly(auth.login, { email, password });
    expect(unverified).toEqual(await strictly(auth.login, { email, password: 'a wrong pass phrase' }));
    expect(unverified.reason).toBe('CREDENTIALS_INVALID');
    await verify(await tokenFor(strict, email), person, strictly);
    expect((await strictly(auth.login, { email, password })).code).toBe('ok');
  });

  test('a reset proves the address as well', async () => {
    const person = newPerson();
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

describe('a change of the address', () => {
  const change = ({ accessToken: bearer, password: currentPassword }: SignedIn, newEmail: string) =>
    call(account.changeEmail, { newEmail, currentPassword }, { bearer });

  test('takes effect once it is confirmed; the old address is informed, and old tokens are stale', async () => {
    const person = await signedIn(call);
    const { email: next } = newPerson();
    expect(await change(person, next.toUpperCase())).toEqual({ code: 'ok', body: {} });
    const token = await tokenFor(app, next, 'Confirm your new email address');
    expect((await call(auth.login, { email: person.email, password: person.password })).code).toBe('ok');
    expect(await verify(token, person)).toEqual({ code: 'ok', body: {} });
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
    expect((await verify(token, person)).reason).toBe('VERIFICATION_TOKEN_INVALID');
  });

  test('makes the tokens that were sent to the old address invalid', async () => {
    const person = await signedIn(call);
    await call(auth.requestReset, { email: person.email });
    const resetToken = (await mailTo(app, person.email, 'Set a new password')).link?.split('#token=')[1] ?? '';
    const { email: next } = newPerson();
    await change(person, next);
    await verify(await tokenFor(app, next, 'Confirm your new email address'), person);
    const reset = await call(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' });
    expect(reset.reason).toBe('RESET_TOKEN_INVALID');
  });

  test('requested before a reset has no effect, also when its e-mail is late', async () => {
    const late = await startTestApp({}, { api: true, worker: false });
    onTestFinished(() => late.close());
    const person = await signedIn(viaFetch(late.url));
    const asked = await viaFetch(late.url)(
      account.changeEmail,
      { newEmail: newPerson().email, currentPassword: person.password },
      { bearer: person.accessToken },
    );
    expect(asked.code).toBe('ok');
    await late.owner.query('UPDATE users SET password_epoch = password_epoch + 1 WHERE id = $1', [person.userId]);
    const config = readConfig(late.environment);
    const worker = await startApp(config, { api: false, worker: true }, createLogger('silent'));
    onTestFinished(() => worker.close());
    await eventually(async () => (await late.owner.query('SELECT FROM outbox')).rowCount === 0);
    expect(late.mailbox.mails.map(({ to }) => to)).toEqual([person.email]);
    expect((await late.owner.query('SELECT FROM email_verifications')).rowCount).toBe(0);
  });

  test('that another mail has already made sends no notice', async () => {
    const person = await signedIn(call);
    const next = newPerson().email;
    await change(person, next);
    await verify(await tokenFor(app, next, 'Confirm your new email address'), person);
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

  test('to the address of an account is reported to its owner and not to the caller', async () => {
    const [person, other] = [await signedIn(call), await registered(call)];
    expect(await change(person, other.email)).toEqual({ code: 'ok', body: {} });
    await mailTo(app, other.email, 'You already have an account');
    expect(app.mailbox.mails.filter(({ to, subject }) => to === other.email && subject.startsWith('Confirm'))).toEqual(
      [],
    );
  });

  test('to an address that another account gets meanwhile has no effect', async () => {
    const person = await signedIn(call);
    const other = newPerson();
    await change(person, other.email);
    const token = await tokenFor(app, other.email, 'Confirm your new email address');
    await registered(call, other);
    expect((await verify(token, person)).reason).toBe('VERIFICATION_TOKEN_INVALID');
    expect(await isAccepted(call, person.accessToken)).toBe(true);
  });

  test('requires a valid address that differs from the current one', async () => {
    const person = await signedIn(call);
    for (const bad of ['x', '', person.email]) expect((await change(person, bad)).fields).toEqual(['new_email']);
  });
});
