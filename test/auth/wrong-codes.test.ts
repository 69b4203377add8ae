// Codes that a caller guesses after the first step. The owner learns of them, and a new password ends the guessing.
import { describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, admin, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedInWith } from '../support/people.ts';
import { addPasskey, challenged, nextCode, PAGE, type WithTotp, withTotp } from '../support/second-factors.ts';

const A_DAY = 5;
const app = await testApp({
  LIMIT_FACTOR_CODE_USER: '1000/60',
  LIMIT_FACTOR_CODE_USER_DAY: `${A_DAY}/86400`,
  LIMIT_FACTOR_CODE_NETWORK: '10000/60',
  REAUTHENTICATION_SECONDS: '3600',
});
const { call } = app;
app.freeze();

const SUBJECT = 'Many wrong codes were entered for your account';

async function sentTo({ email }: { email: string }) {
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  return app.mailbox.mails.filter(({ to, subject }) => to === email && subject === SUBJECT);
}

async function signIn(person: WithTotp, totpCode = nextCode(app, person.secret)) {
  const { id: challengeId } = await challenged(call, person);
  return call(auth.finishSignIn, { challengeId, totpCode });
}

async function stepUp({ accessToken: bearer }: SignedIn, totpCode: string) {
  const { body } = await call(account.startStepUp, {}, { bearer });
  return call(account.finishStepUp, { challengeId: body.challenge.id, totpCode }, { bearer });
}

async function guess(person: WithTotp, times: number) {
  for (let n = 0; n < times; n += 1) expect((await signIn(person, '12345')).reason).toBe('FACTOR_INVALID');
}

describe('an attacker who knows the password', () => {
  test('gets a few codes a day, and the owner one e-mail', async () => {
    const person = await withTotp(app, call);
    await guess(person, A_DAY - 1);
    expect((await signIn(person)).code).toBe('ok');
    await guess(person, 1);
    expect(await sentTo(person)).toEqual([]);
    const limited = await signIn(person);
    expect(limited.reason).toBe('RATE_LIMITED');
    expect(limited.retryAfterSeconds).toBeGreaterThan(86_000);
    for (let n = 0; n < 3; n += 1) expect((await signIn(person)).reason).toBe('RATE_LIMITED');
    const mails = await sentTo(person);
    expect(mails).toHaveLength(1);
    expect(mails[0]?.text).toContain('Set a new password now');
  });

  test('cannot keep the owner from signing in after a new password', async () => {
    const person = await withTotp(app, call);
    await guess(person, A_DAY);
    expect((await signIn(person)).reason).toBe('RATE_LIMITED');
    const password = 'a new pass phrase';
    const change = { currentPassword: person.password, newPassword: password };
    expect((await call(account.changePassword, change, { bearer: person.accessToken })).code).toBe('ok');
    expect((await signIn({ ...person, password })).code).toBe('ok');
  });

  test('no longer blocks codes after an administrator unlocked the account', async () => {
    const [person, administrator] = [await withTotp(app, call), await signedInWith(app, call, ['admin'])];
    await guess(person, A_DAY);
    expect((await signIn(person)).reason).toBe('RATE_LIMITED');
    const unlock = { userId: person.userId, reason: 'she called' };
    const { body } = await call(admin.unlockUser, unlock, { bearer: administrator.accessToken });
    expect(body.limits).toContain('FACTOR_CODE_USER_DAY');
    expect((await signIn(person)).code).toBe('ok');
  });
});

test('a thief in one session gets a few codes a day, and blocks the codes of no other session', async () => {
  const person = await withTotp(app, call);
  const other = { ...person, ...(await signIn(person)).body.tokens };
  for (let n = 0; n < A_DAY; n += 1) expect((await stepUp(person, '12345')).reason).toBe('FACTOR_INVALID');
  expect((await stepUp(person, nextCode(app, person.secret))).reason).toBe('RATE_LIMITED');
  expect((await stepUp(other, nextCode(app, person.secret))).code).toBe('ok');
  expect((await signIn(person)).code).toBe('ok');
  expect(await sentTo(person)).toHaveLength(1);
});

test('right codes do not count', async () => {
  const person = await withTotp(app, call);
  for (let n = 0; n < A_DAY + 2; n += 1) expect((await signIn(person)).code).toBe('ok');
});

const strict = await testApp({ LIMIT_FACTOR_CODE_NETWORK: '3/900' });

test('wrong codes of a network stop its codes, but none of its passkeys', async () => {
  const person = await withTotp(strict, strict.call);
  const { authenticator } = await addPasskey(strict.call, person);
  const finish = (challengeId: string, proof: object) => strict.call(auth.finishSignIn, { challengeId, ...proof });
  for (let n = 0; n < 3; n += 1) await finish(`lkc_${n}`, { totpCode: '12345' });
  const { id, passkeyRequestOptions } = await challenged(strict.call, person);
  expect((await finish(id, { recoveryCode: person.recoveryCodes[0] as string })).reason).toBe('RATE_LIMITED');
  const passkeyAssertion = authenticator.assert(passkeyRequestOptions, { origin: PAGE });
  expect((await finish(id, { passkeyAssertion })).code).toBe('ok');
});
