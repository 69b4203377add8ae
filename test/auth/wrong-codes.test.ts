// Codes that a caller guesses after the first step. The owner learns of them, and each way to go on guessing ends.
import { describe, expect, test } from 'vitest';
import { type TestApp, testApp } from '../support/app.ts';
import { account, admin, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, type SignedIn, signedInWith } from '../support/people.ts';
import {
  addPasskey,
  challenged,
  nextCode,
  PAGE,
  signInWithCode,
  type WithTotp,
  withTotp,
} from '../support/second-factors.ts';

const [A_DAY, A_WEEK] = [5, 12];
const HIGH = '10000/60';
const daily = await testApp({ LIMIT_FACTOR_CODE_USER: HIGH, LIMIT_FACTOR_CODE_USER_DAY: `${A_DAY}/86400` });
const weekly = await testApp({
  LIMIT_FACTOR_CODE_USER: HIGH,
  LIMIT_FACTOR_CODE_USER_DAY: `${A_DAY}/86400`,
  LIMIT_FACTOR_CODE_USER_WEEK: `${A_WEEK}/604800`,
});
const network = await testApp({ LIMIT_FACTOR_CODE_NETWORK: '3/900' });
const standard = await testApp();
for (const app of [daily, weekly, standard]) app.freeze();

const WRONG = '12345';

async function noticesTo(app: TestApp, { email }: { email: string }) {
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  return app.mailbox.mails.filter(({ to, subject }) => to === email && subject.startsWith('Many wrong codes'));
}

async function signIn(app: TestApp, person: WithTotp, totpCode = nextCode(app, person.secret)) {
  const { id: challengeId } = await challenged(app.call, person);
  return app.call(auth.finishSignIn, { challengeId, totpCode });
}

async function stepUp(app: TestApp, { accessToken: bearer }: SignedIn, totpCode: string) {
  const { body } = await app.call(account.startStepUp, {}, { bearer });
  return app.call(account.finishStepUp, { challengeId: body.challenge.id, totpCode }, { bearer });
}

async function guess(app: TestApp, person: WithTotp, times: number) {
  for (let n = 0; n < times; n += 1) expect((await signIn(app, person, WRONG)).reason).toBe('FACTOR_INVALID');
}

/** @returns the person with the new password */
async function withNewPassword(app: TestApp, person: WithTotp): Promise<WithTotp> {
  const { password } = newPerson();
  const change = { currentPassword: person.password, newPassword: password };
  const { code, body } = await app.call(account.changePassword, change, { bearer: person.accessToken });
  expect(code).toBe('ok');
  return { ...person, ...body.tokens, password };
}

describe('an attacker who knows the password', () => {
  test('has a few codes a day', async () => {
    const person = await withTotp(daily, daily.call);
    await guess(daily, person, A_DAY - 1);
    expect((await signIn(daily, person)).code).toBe('ok');
    await guess(daily, person, 1);
    const limited = await signIn(daily, person);
    expect(limited.reason).toBe('RATE_LIMITED');
    expect(limited.retryAfterSeconds).toBeGreaterThan(86_000);
  });

  test('cannot keep the owner from signing in after a new password', async () => {
    const person = await withTotp(daily, daily.call);
    await guess(daily, person, A_DAY);
    expect((await signIn(daily, person)).reason).toBe('RATE_LIMITED');
    expect((await signIn(daily, await withNewPassword(daily, person))).code).toBe('ok');
  });

  test('cannot go on with new passwords, nor in other sessions', async () => {
    let person = await withTotp(weekly, weekly.call);
    await guess(weekly, person, A_DAY);
    person = await withNewPassword(weekly, person);
    await guess(weekly, person, A_DAY);
    expect((await signIn(weekly, person, WRONG)).reason).toBe('RATE_LIMITED');
    for (let n = 0; n < A_WEEK - 2 * A_DAY; n += 1) {
      expect((await stepUp(weekly, person, WRONG)).reason).toBe('FACTOR_INVALID');
    }
    const limited = await stepUp(weekly, person, WRONG);
    expect(limited.reason).toBe('RATE_LIMITED');
    expect(limited.retryAfterSeconds).toBeGreaterThan(600_000);
  });

  test('is blocked until an administrator unlocks the account', async () => {
    const person = await withTotp(weekly, weekly.call);
    const administrator = await signedInWith(weekly, weekly.call, ['admin']);
    await guess(weekly, person, A_DAY);
    expect((await signIn(weekly, person)).reason).toBe('RATE_LIMITED');
    const unlock = { userId: person.userId, reason: 'she called' };
    const { body } = await weekly.call(admin.unlockUser, unlock, { bearer: administrator.accessToken });
    expect(body.limits).toEqual(
      expect.arrayContaining(['FACTOR_CODE_USER_DAY', 'FACTOR_CODE_USER_WEEK', 'WRONG_CODE_NOTICE']),
    );
    expect((await signIn(weekly, person)).code).toBe('ok');
  });
});

describe('the owner', () => {
  test('gets one e-mail for the wrong codes of a day, before codes are blocked, in sign-ins and step-ups', async () => {
    const person = await withTotp(standard, standard.call);
    await guess(standard, person, 5);
    for (let n = 0; n < 4; n += 1) expect((await stepUp(standard, person, WRONG)).reason).toBe('FACTOR_INVALID');
    expect(await noticesTo(standard, person)).toEqual([]);
    expect((await stepUp(standard, person, WRONG)).reason).toBe('FACTOR_INVALID');
    for (let n = 0; n < 4; n += 1) await stepUp(standard, person, WRONG);
    const notices = await noticesTo(standard, person);
    expect(notices).toHaveLength(1);
    expect(notices[0]?.text).toContain('Set a new password now');
  });

  test('gets it also when the attacker gives up each call at once, and another account shares the mailbox', async () => {
    const mailbox = newPerson().email;
    const [owner, other] = await Promise.all(
      ['shop', 'other'].map(async (tag) => {
        const person = { ...newPerson(), email: mailbox.replace('@', `+${tag}@`) };
        const { body } = await standard.call(auth.register, person);
        const signedIn = await standard.call(auth.login, { email: person.email, password: person.password });
        return withTotp(standard, standard.call, { ...person, userId: body.user.id, ...signedIn.body.tokens });
      }),
    );
    await guess(standard, other as WithTotp, 10);
    for (let n = 0; n < 10; n += 1) {
      const { id: challengeId } = await challenged(standard.call, owner as WithTotp);
      const aborted = AbortSignal.timeout(n % 4);
      const request = { method: 'POST', headers: { 'content-type': 'application/json' }, signal: aborted };
      const body = JSON.stringify({ challengeId, totpCode: WRONG });
      await fetch(`${standard.url}/latchkey.auth.v1.AuthService/FinishSignIn`, { ...request, body }).catch(() => {});
    }
    for (let n = 0; n < 10; n += 1) await signIn(standard, owner as WithTotp, WRONG);
    await eventually(async () => (await noticesTo(standard, owner as WithTotp)).length === 1);
  });

  test('can step up in each session but the one in which a thief has guessed', async () => {
    const person = await withTotp(daily, daily.call);
    const other = await signInWithCode(daily, daily.call, person);
    for (let n = 0; n < A_DAY; n += 1) expect((await stepUp(daily, person, WRONG)).reason).toBe('FACTOR_INVALID');
    expect((await stepUp(daily, person, nextCode(daily, person.secret))).reason).toBe('RATE_LIMITED');
    expect((await stepUp(daily, other, nextCode(daily, person.secret))).code).toBe('ok');
    expect((await signIn(daily, person)).code).toBe('ok');
  });

  test('uses up nothing with right codes', async () => {
    const person = await withTotp(daily, daily.call);
    for (let n = 0; n < A_DAY + 2; n += 1) expect((await signIn(daily, person)).code).toBe('ok');
  });

  test('can use a passkey after wrong codes from the same network', async () => {
    const { call } = network;
    const person = await withTotp(network, call);
    const { authenticator } = await addPasskey(call, person);
    const finish = (challengeId: string, proof: object) => call(auth.finishSignIn, { challengeId, ...proof });
    for (let n = 0; n < 3; n += 1) await finish(`lkc_${n}`, { totpCode: WRONG });
    const { id, passkeyRequestOptions } = await challenged(call, person);
    expect((await finish(id, { recoveryCode: person.recoveryCodes[0] as string })).reason).toBe('RATE_LIMITED');
    const passkeyAssertion = authenticator.assert(passkeyRequestOptions, { origin: PAGE });
    expect((await finish(id, { passkeyAssertion })).code).toBe('ok');
  });
});
