// The removal of a factor: what keeps it, and which sessions end with it.
import { afterEach, describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth, type Outcome } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, type SignedIn } from '../support/people.ts';
import {
  addPasskey,
  challenged,
  nextCode,
  signInWithCode,
  signInWithPasskey,
  stepUpWithPasskey,
  withPasskey,
  withTotp,
} from '../support/second-factors.ts';

const app = await testApp();
const other = await testApp(app.environment);
const { call } = app;

afterEach(() => app.owner.query("UPDATE factor_policy SET scope = 'none', roles = '{}'"));

const remove = ({ accessToken: bearer }: SignedIn, factorId: string): Promise<Outcome> =>
  call(account.removeFactor, { factorId }, { bearer });

test('ends the other sessions that used the factor, at every server within a second, and keeps the own one', async () => {
  const app1 = await withTotp(app, call);
  const both = await addPasskey(call, app1);
  const byCode = await signInWithCode(app, call, app1);
  const byPasskey = await signInWithPasskey(call, both);
  expect(await isAccepted(other.call, byCode.accessToken)).toBe(true);
  const removedAt = performance.now();
  const removed = await remove(both, app1.factorId);
  expect(removed).toMatchObject({ code: 'ok', body: { sessionsEnded: 1 } });
  expect(await isAccepted(call, byCode.accessToken)).toBe(false);
  await eventually(async () => !(await isAccepted(other.call, byCode.accessToken)));
  expect(performance.now() - removedAt).toBeLessThan(1_000);
  expect((await other.call(auth.refresh, { refreshToken: byCode.refreshToken })).reason).toBe('SESSION_ENDED');
  for (const session of [both, byPasskey]) {
    expect(await isAccepted(other.call, session.accessToken)).toBe(true);
    expect((await call(auth.refresh, { refreshToken: session.refreshToken })).code).toBe('ok');
  }
});

test('ends a session whose step-up used the factor', async () => {
  const person = await withTotp(app, call);
  const both = await addPasskey(call, person);
  const byPasskey = await signInWithPasskey(call, both);
  const bearer = byPasskey.accessToken;
  const { id: challengeId } = (await call(account.startStepUp, {}, { bearer })).body.challenge;
  const totpCode = nextCode(app, person.secret);
  const stepped = await call(account.finishStepUp, { challengeId, totpCode }, { bearer });
  expect((await remove(both, person.factorId)).body.sessionsEnded).toBe(1);
  expect(await isAccepted(call, stepped.body.tokens.accessToken)).toBe(false);
});

test('takes the recovery codes along with the last factor only', async () => {
  const person = await withTotp(app, call);
  const both = await addPasskey(call, person);
  const left = async () =>
    (await call(account.listFactors, {}, { bearer: both.accessToken })).body.recoveryCodesLeft as number;
  await remove(both, person.factorId);
  expect(await left()).toBe(10);
  const { id } = await challenged(call, person);
  await remove(both, both.factorId);
  expect(await left()).toBe(0);
  const recoveryCode = person.recoveryCodes[0] as string;
  expect((await call(auth.finishSignIn, { challengeId: id, recoveryCode })).reason).toBe('FACTOR_INVALID');
  expect((await call(auth.login, { email: person.email, password: person.password })).body.tokens).toBeDefined();
});

test('is FACTOR_NOT_FOUND for an unknown factor, one of another account, and the second time', async () => {
  const [person, stranger] = [await addPasskey(call, await withTotp(app, call)), await withTotp(app, call)];
  expect((await remove(person, stranger.factorId)).reason).toBe('FACTOR_NOT_FOUND');
  expect((await remove(person, crypto.randomUUID())).reason).toBe('FACTOR_NOT_FOUND');
  expect((await remove(person, 'x')).fields).toEqual(['factor_id']);
  expect((await remove(person, person.factorId)).code).toBe('ok');
  expect((await remove(person, person.factorId)).reason).toBe('FACTOR_NOT_FOUND');
  await signInWithCode(app, call, stranger);
});

describe('FACTOR_REQUIRED', () => {
  async function withRole(person: SignedIn, acr: string): Promise<void> {
    await app.owner.query(
      'INSERT INTO roles (name, description, required_acr) VALUES ($1, $2, $1) ON CONFLICT DO NOTHING',
      [acr, ''],
    );
    await app.owner.query('INSERT INTO user_roles VALUES ($1, $2, now())', [person.userId, acr]);
  }

  test('keeps the last factor under a policy, also within the grace period', async () => {
    const person = await withTotp(app, call);
    const both = await addPasskey(call, person);
    await app.owner.query("UPDATE factor_policy SET scope = 'all', grace_seconds = 86400, changed_at = now()");
    expect((await remove(both, person.factorId)).code).toBe('ok');
    expect((await remove(both, both.factorId)).reason).toBe('FACTOR_REQUIRED');
    await signInWithPasskey(call, both);
  });

  test('keeps any factor for a role that requires two factors', async () => {
    const person = await withTotp(app, call);
    const both = await addPasskey(call, person);
    await withRole(person, 'mfa');
    const owner = await stepUpWithPasskey(call, await signInWithPasskey(call, both));
    expect((await remove(owner, both.factorId)).code).toBe('ok');
    expect((await remove(owner, person.factorId)).reason).toBe('FACTOR_REQUIRED');
  });

  test('keeps the last passkey for a role that requires one, though an authenticator app is left', async () => {
    const person = await withTotp(app, call);
    const both = await addPasskey(call, person);
    await withRole(person, 'phr');
    const owner = await stepUpWithPasskey(call, await signInWithPasskey(call, both));
    expect((await remove(owner, both.factorId)).reason).toBe('FACTOR_REQUIRED');
    const two = await addPasskey(call, owner);
    expect((await remove(two, both.factorId)).code).toBe('ok');
    expect((await remove(two, two.factorId)).reason).toBe('FACTOR_REQUIRED');
    expect((await remove(two, person.factorId)).code).toBe('ok');
  });

  test('keeps one of two factors that are removed in parallel', async () => {
    for (let round = 0; round < 5; round += 1) {
      const first = await withPasskey(call);
      const both = await addPasskey(call, first);
      await app.owner.query("UPDATE factor_policy SET scope = 'all', changed_at = now()");
      const outcomes = await Promise.all([remove(both, first.factorId), remove(both, both.factorId)]);
      expect(outcomes.map(({ reason = 'ok' }) => reason).toSorted()).toEqual(['FACTOR_REQUIRED', 'ok']);
      await app.owner.query("UPDATE factor_policy SET scope = 'none'");
    }
  });
});
