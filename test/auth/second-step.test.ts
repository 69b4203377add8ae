import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth, untilAvailable } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { lockWaiters } from '../support/lock-waiters.ts';
import { signedIn } from '../support/people.ts';
import { challenged, nextCode, PAGE, signInWithCode, withPasskey, withTotp } from '../support/second-factors.ts';
import { storedTotp } from '../support/stored-factors.ts';

const app = await testApp();
const { call } = app;

describe('a sign-in with an authenticator app', () => {
  test('has two steps, and its token has the strength', async () => {
    const person = await withTotp(app, call);
    const { id, kinds, passkeyRequestOptions } = await challenged(call, person);
    expect(kinds).toEqual(['FACTOR_KIND_TOTP', 'FACTOR_KIND_RECOVERY_CODE']);
    expect(passkeyRequestOptions).toBe('');
    const finished = await call(auth.finishSignIn, { challengeId: id, totpCode: nextCode(app, person.secret) });
    expect(finished.code).toBe('ok');
    expect(finished.body.user.id).toBe(person.userId);
    expect(finished.body.recoveryCodes).toEqual([]);
    const claims = decodeJwt(finished.body.tokens.accessToken);
    expect(claims).toMatchObject({ acr: 'mfa', amr: ['mfa', 'otp', 'pwd'], auth_time: claims.iat });
  });

  test('100 parallel uses of one code sign in once', async () => {
    const person = await withTotp(app, call);
    const ids = await Promise.all(Array.from({ length: 20 }, async () => (await challenged(call, person)).id));
    const totpCode = nextCode(app, person.secret);
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        untilAvailable(() => call(auth.finishSignIn, { challengeId: ids[n % 20], totpCode })),
      ),
    );
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    const others = outcomes.filter(({ code }) => code !== 'ok').map(({ reason }) => reason);
    expect([...new Set(others)].toSorted()).toEqual(expect.arrayContaining(['FACTOR_INVALID']));
    expect(
      others.filter((reason) => !['FACTOR_INVALID', 'CHALLENGE_INVALID', 'RATE_LIMITED'].includes(reason ?? '')),
    ).toEqual([]);
  });

  test('a recovery code works once, and the owner receives a mail', async () => {
    const person = await withTotp(app, call);
    expect(person.recoveryCodes).toHaveLength(10);
    const [recoveryCode = ''] = person.recoveryCodes;
    const use = async (text: string) =>
      call(auth.finishSignIn, { challengeId: (await challenged(call, person)).id, recoveryCode: text });
    expect((await use(recoveryCode.toUpperCase())).code).toBe('ok');
    expect((await use(recoveryCode)).reason).toBe('FACTOR_INVALID');
    const mail = await eventually(() =>
      app.mailbox.mails.find(({ to, subject }) => to.includes(person.email) && subject.includes('recovery code')),
    );
    expect(mail.text).toContain('9 unused codes are left');
  });
});

describe('a passkey', () => {
  test('is a second step', async () => {
    const person = await withPasskey(call);
    const { id, kinds, passkeyRequestOptions } = await challenged(call, person);
    expect(kinds).toEqual(['FACTOR_KIND_PASSKEY', 'FACTOR_KIND_RECOVERY_CODE']);
    const passkeyAssertion = person.authenticator.assert(passkeyRequestOptions, { origin: PAGE });
    const finished = await call(auth.finishSignIn, { challengeId: id, passkeyAssertion });
    expect(finished.code).toBe('ok');
    expect(decodeJwt(finished.body.tokens.accessToken)).toMatchObject({ acr: 'phr', amr: ['mfa', 'pop', 'pwd'] });
  });

  test('signs in alone', async () => {
    const person = await withPasskey(call);
    const { body } = await call(auth.startPasskeySignIn, {});
    const passkeyAssertion = person.authenticator.assert(body.challenge.passkeyRequestOptions, { origin: PAGE });
    const finished = await call(auth.finishSignIn, { challengeId: body.challenge.id, passkeyAssertion });
    expect(finished.body.user.id).toBe(person.userId);
    expect(decodeJwt(finished.body.tokens.accessToken)).toMatchObject({ acr: 'phr', amr: ['mfa', 'pop', 'user'] });
  });
});

test('a step-up raises the strength of the session', async () => {
  const person = await withTotp(app, call);
  const other = await challenged(call, person);
  const finished = await call(auth.finishSignIn, {
    challengeId: other.id,
    recoveryCode: person.recoveryCodes[0] as string,
  });
  const bearer = finished.body.tokens.accessToken;
  expect((await call(account.startStepUp, { acr: 'phr' }, { bearer })).reason).toBe('FACTOR_MISSING');
  const started = await call(account.startStepUp, { acr: 'mfa' }, { bearer });
  const totpCode = nextCode(app, person.secret);
  const stepped = await call(account.finishStepUp, { challengeId: started.body.challenge.id, totpCode }, { bearer });
  expect(stepped.code).toBe('ok');
  const claims = decodeJwt(stepped.body.tokens.accessToken);
  expect(claims).toMatchObject({ acr: 'mfa', auth_time: claims.iat, sid: decodeJwt(bearer).sid });
});

test('one code in two sessions and a sign-in at once has one effect', async () => {
  const person = await withTotp(app, call);
  const sessions = [await signInWithCode(app, call, person), await signInWithCode(app, call, person)];
  const started = await Promise.all(
    Array.from({ length: 16 }, async (_, n) => {
      const bearer = sessions[n % 2]?.accessToken ?? '';
      return { bearer, challengeId: (await call(account.startStepUp, {}, { bearer })).body.challenge.id };
    }),
  );
  const { id } = await challenged(call, person);
  const totpCode = nextCode(app, person.secret);
  const outcomes = await Promise.all([
    ...started.map(({ bearer, challengeId }) =>
      untilAvailable(() => call(account.finishStepUp, { challengeId, totpCode }, { bearer })),
    ),
    untilAvailable(() => call(auth.finishSignIn, { challengeId: id, totpCode })),
  ]);
  const reasons = outcomes.flatMap(({ reason }) => reason ?? []);
  expect(reasons).toHaveLength(16);
  expect(new Set(reasons)).toEqual(new Set(['FACTOR_INVALID']));
});

test('the password alone does not re-authenticate an account with a factor', async () => {
  const person = await withTotp(app, call);
  const { id } = await challenged(call, person);
  const { body } = await call(auth.finishSignIn, { challengeId: id, totpCode: nextCode(app, person.secret) });
  const bearer = body.tokens.accessToken;
  const currentPassword = person.password;
  expect((await call(account.reauthenticate, { currentPassword }, { bearer })).reason).toBe(
    'REAUTHENTICATION_REQUIRED',
  );
  const removal = { factorId: person.factorId, currentPassword };
  expect((await call(account.removeFactor, removal, { bearer })).reason).toBe('REAUTHENTICATION_REQUIRED');
});

test('an account without a factor signs in as before', async () => {
  const person = await signedIn(call);
  expect(decodeJwt(person.accessToken)).toMatchObject({ acr: 'pwd', amr: ['pwd'] });
  expect((await call(account.listFactors, {}, { bearer: person.accessToken })).body).toEqual({
    factors: [],
    recoveryCodesLeft: 0,
  });
});

test('a sign-in in one step fails when the account gets a factor meanwhile', async () => {
  const person = await signedIn(call);
  const adding = await app.owner.connect();
  await adding.query('BEGIN');
  await adding.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [person.userId]);
  const signingIn = call(auth.login, { email: person.email, password: person.password });
  await eventually(async () => (await lockWaiters(app.owner)) === 1);
  await storedTotp(adding, person.userId);
  await adding.query('COMMIT');
  adding.release();
  expect((await signingIn).reason).toBe('CREDENTIALS_INVALID');
  expect((await call(auth.login, { email: person.email, password: person.password })).body).toHaveProperty('challenge');
});

test('an addition that began with the password alone is void once the account has a factor', async () => {
  const person = await signedIn(call);
  const bearer = person.accessToken;
  const currentPassword = person.password;
  const { challengeId, totp } = (await call(account.startAddTotp, { currentPassword }, { bearer })).body;
  await withPasskey(call, await signedIn(call, person));
  const totpCode = nextCode(app, totp.secret);
  expect((await call(account.finishAddTotp, { challengeId, totpCode }, { bearer })).reason).toBe('CHALLENGE_INVALID');
});

test('the mail after a password reset names the factors', async () => {
  const { email } = await withPasskey(call);
  await call(auth.requestReset, { email });
  const subjectOf = (text: string) => app.mailbox.mails.find(({ to, subject }) => to === email && subject === text);
  const mail = await eventually(() => subjectOf('Set a new password'));
  const resetToken = mail.link?.split('#token=')[1] ?? '';
  expect((await call(auth.confirmReset, { resetToken, newPassword: 'quite another phrase' })).code).toBe('ok');
  const done = await eventually(() => subjectOf('Your password was reset'));
  expect(done.text).toContain('these second factors: a passkey. Remove each one that is not yours.');
  expect((await challenged(call, { email, password: 'quite another phrase' })).kinds).toContain('FACTOR_KIND_PASSKEY');
});
