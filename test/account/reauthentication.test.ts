// An access token alone never takes an account over: sensitive calls require the password, in the call or recently in this session.
import { setTimeout as sleep } from 'node:timers/promises';
import type { JsonValue } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { startTestApp, testApp } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, newPerson, reauthenticated, refreshed, type SignedIn, signedIn } from '../support/people.ts';
import { sensitiveCalls, WITH_PROVIDER } from '../support/sensitive-calls.ts';

const NEW = 'a changed pass phrase';

const app = await testApp({ REAUTHENTICATION_SECONDS: '600', ...WITH_PROVIDER });
const { call } = app;

const as = ({ accessToken }: { accessToken: string }) => ({ bearer: accessToken });
const refresh = (refreshToken: string) => call(auth.refresh, { refreshToken });

async function verified(): Promise<SignedIn> {
  const person = await signedIn(call);
  await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [person.userId]);
  return refreshed(call, person);
}

const SENSITIVE = sensitiveCalls(app, call, (person) => signedIn(call, person));

describe.each(SENSITIVE)('%s', (_, method, input) => {
  test('is rejected just after a sign-in without the password, with a wrong one and with an empty one', async () => {
    const person = await verified();
    const request = (await input(person)) as object;
    const outcome = await call(method, request as JsonValue, as(person));
    expect(outcome).toMatchObject({ code: 'failed_precondition', reason: 'REAUTHENTICATION_REQUIRED' });
    expect(outcome.message).toContain('Reauthenticate');
    const wrong = { ...request, currentPassword: 'a wrong pass phrase' };
    expect(await call(method, wrong, as(person))).toMatchObject({
      code: 'permission_denied',
      reason: 'PASSWORD_WRONG',
    });
  });

  test('is accepted with the password', async () => {
    const person = await verified();
    const request = { ...((await input(person)) as object), currentPassword: person.password };
    expect((await call(method, request, as(person))).code).toBe('ok');
  });

  test('is accepted for ten minutes after a re-authentication, in that session alone', async () => {
    const [person, later] = [await verified(), await verified()];
    const request = await input(person);
    const other = await signedIn(call, person);
    const here = await reauthenticated(call, person);
    expect((await call(method, request, as(other))).reason).toBe('REAUTHENTICATION_REQUIRED');
    expect((await call(method, request, as(here))).code).toBe('ok');
    const late = await reauthenticated(call, later);
    const lateRequest = await input(late);
    app.advance(601_000);
    expect((await call(method, lateRequest, as(late))).reason).toBe('REAUTHENTICATION_REQUIRED');
  });
});

test('a thief with a new access token can change and read nothing sensitive', async () => {
  const person = await verified();
  const thief = as(person);
  const theirs = newPerson().email;
  const other = await signedIn(call, person);
  for (const [name, method, input] of SENSITIVE) {
    for (const currentPassword of ['', person.email, 'password']) {
      const request = { ...((await input(person)) as object), currentPassword };
      expect((await call(method, request, thief)).code, name).not.toBe('ok');
    }
  }
  const guess = { currentPassword: 'a guess', newPassword: NEW };
  expect((await call(account.changePassword, guess, thief)).reason).toBe('PASSWORD_WRONG');
  expect((await call(account.changePassword, { newPassword: NEW }, thief)).fields).toContain('current_password');
  expect((await call(account.reauthenticate, {}, thief)).fields).toEqual(['current_password']);
  expect((await call(account.reauthenticate, { currentPassword: 'a guess' }, thief)).reason).toBe('PASSWORD_WRONG');
  expect((await call(auth.verifyEmail, { verificationToken: `lkv_${'A'.repeat(64)}` }, thief)).reason).toBe(
    'VERIFICATION_TOKEN_INVALID',
  );
  await call(auth.requestReset, { email: theirs }, thief);
  await call(auth.requestReset, { email: person.email }, thief);
  await eventually(() => app.mailbox.mails.some(({ to, subject }) => to === person.email && /password/.test(subject)));
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  expect(app.mailbox.mails.filter(({ to }) => to === theirs)).toEqual([]);
  const { rows } = await app.owner.query('SELECT email, password_epoch FROM users WHERE id = $1', [person.userId]);
  expect(rows).toEqual([{ email: person.email, password_epoch: 1 }]);
  expect(await isAccepted(call, other.accessToken)).toBe(true);
  await signedIn(call, person);
});

describe('Reauthenticate', () => {
  test('is audited, whether it succeeds or not', async () => {
    const person = await signedIn(call);
    await call(account.reauthenticate, { currentPassword: 'a wrong pass phrase' }, as(person));
    await reauthenticated(call, person);
    const types = await eventually(async () => {
      const { rows } = await app.owner.query(
        "SELECT type, session_id FROM audit_events WHERE user_id = $1 AND type LIKE 'reauth%' ORDER BY seq",
        [person.userId],
      );
      return rows.length === 2 ? rows.map(({ type }) => type) : null;
    });
    expect(types).toEqual(['reauthentication_failed', 'reauthenticated']);
  });

  test('does not help an attacker who copied an access token before', async () => {
    const person = await signedIn(call);
    app.advance(2_000);
    const here = await reauthenticated(call, person);
    expect((await call(account.revokeOtherSessions, {}, as(person))).reason).toBe('REAUTHENTICATION_REQUIRED');
    const next = await refreshed(call, here);
    expect((await call(account.revokeOtherSessions, {}, as(next))).code).toBe('ok');
  });

  test('counts failures: after five the right password is rejected until the window ends', async () => {
    const strict = await startTestApp({ LIMIT_CHANGE_PASSWORD_USER: '5/900' });
    const ask = viaFetch(strict.url);
    const person = await signedIn(ask);
    const attempt = (currentPassword: string) => ask(account.reauthenticate, { currentPassword }, as(person));
    for (let n = 0; n < 8; n += 1) expect((await attempt(person.password)).code).toBe('ok');
    const wrong = await Promise.all(Array.from({ length: 12 }, () => attempt('a wrong pass phrase')));
    expect(wrong.filter(({ reason }) => reason === 'PASSWORD_WRONG')).toHaveLength(5);
    expect((await attempt(person.password)).reason).toBe('RATE_LIMITED');
    await strict.close();
  });

  test('fails for an account without a password, and for a session that has ended', async () => {
    const person = await signedIn(call);
    await app.owner.query('UPDATE users SET password_hash = NULL WHERE id = $1', [person.userId]);
    const attempt = (one: SignedIn) => call(account.reauthenticate, { currentPassword: one.password }, as(one));
    expect((await attempt(person)).reason).toBe('PASSWORD_WRONG');
    const gone = await signedIn(call);
    await call(auth.logout, { refreshToken: gone.refreshToken });
    expect((await attempt(gone)).reason).toBe('TOKEN_REVOKED');
  });
});

const RENEWALS: [name: string, renew: (person: SignedIn) => ReturnType<Caller>][] = [
  ['Reauthenticate', (person) => call(account.reauthenticate, { currentPassword: person.password }, as(person))],
  [
    'ChangePassword',
    (person) => call(account.changePassword, { currentPassword: person.password, newPassword: NEW }, as(person)),
  ],
];

describe.each(RENEWALS)('after %s', (_, renew) => {
  test('the session continues with new tokens', async () => {
    const person = await signedIn(call);
    const before = await call(auth.verify, { accessToken: person.accessToken });
    const { tokens } = (await renew(person)).body;
    expect(tokens.tokenType).toBe('Bearer');
    expect(tokens.refreshToken).not.toBe(person.refreshToken);
    const after = await call(auth.verify, { accessToken: tokens.accessToken });
    expect(after.body.principal.sessionId).toBe(before.body.principal.sessionId);
    expect((await refresh(tokens.refreshToken)).code).toBe('ok');
  });

  test('the old refresh token is invalid at once, also within the grace period, and its use ends the session', async () => {
    const person = await signedIn(call);
    const { tokens } = (await renew(person)).body;
    const stolen = await refresh(person.refreshToken);
    expect(stolen).toMatchObject({ code: 'unauthenticated', reason: 'REFRESH_TOKEN_REUSED' });
    expect(stolen.body).toBeUndefined();
    expect(await isAccepted(call, tokens.accessToken)).toBe(false);
  });

  test('the predecessor of the old refresh token is rejected, also with the same request id', async () => {
    const person = await signedIn(call);
    const first = await call(auth.refresh, { refreshToken: person.refreshToken, requestId: 'lost' });
    await renew({ ...person, accessToken: first.body.tokens.accessToken });
    const stolen = await call(auth.refresh, { refreshToken: person.refreshToken, requestId: 'lost' });
    expect(stolen.reason).toBe('REFRESH_TOKEN_REUSED');
  });

  test('a lost response of the next refresh is repeated as usual', async () => {
    const person = await signedIn(call);
    const { tokens } = (await renew(person)).body;
    const next = await refresh(tokens.refreshToken);
    app.advance(25_000);
    expect((await refresh(tokens.refreshToken)).body.tokens.refreshToken).toBe(next.body.tokens.refreshToken);
  });

  test('a copy of the access token, or one made in the same second with the old refresh token, is not re-authenticated', async () => {
    const person = await signedIn(call);
    await sleep(1_050 - (Date.now() % 1_000));
    const copy = (await refresh(person.refreshToken)).body.tokens;
    await renew({ ...person, accessToken: copy.accessToken });
    const { reason } = await call(account.revokeOtherSessions, {}, as(copy));
    expect(['REAUTHENTICATION_REQUIRED', 'TOKEN_STALE']).toContain(reason);
  });

  test('the session counts as re-authenticated', async () => {
    const { tokens } = (await renew(await signedIn(call))).body;
    expect((await call(account.revokeOtherSessions, {}, as(tokens))).code).toBe('ok');
  });
});

test('a re-authentication whose response was lost can be repeated with the same access token', async () => {
  const person = await signedIn(call);
  await reauthenticated(call, person);
  const again = await reauthenticated(call, person);
  expect((await refresh(again.refreshToken)).code).toBe('ok');
});

test('parallel re-authentications and refreshes leave at most one refresh token that works', async () => {
  for (let round = 0; round < 5; round += 1) {
    const person = await signedIn(call);
    const outcomes = await Promise.all([
      ...Array.from({ length: 4 }, () =>
        call(account.reauthenticate, { currentPassword: person.password }, as(person)),
      ),
      refresh(person.refreshToken),
    ]);
    const tokens = new Set(outcomes.flatMap(({ body }) => body?.tokens.refreshToken ?? []));
    const used = await Promise.all([...tokens].map((token) => refresh(token)));
    expect(new Set(used.flatMap(({ body }) => body?.tokens.refreshToken ?? [])).size).toBeLessThanOrEqual(1);
  }
});

test('a session can always end itself', async () => {
  const person = await signedIn(call);
  const { body } = await call(account.listSessions, {}, as(person));
  const { id } = body.sessions.find(({ current }: { current: boolean }) => current);
  expect((await call(account.revokeSession, { sessionId: id }, as(person))).code).toBe('ok');
  expect(await isAccepted(call, person.accessToken)).toBe(false);
});
