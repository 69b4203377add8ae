// An account with a factor must use it for each sensitive call: the password alone, or a new sign-in, never suffices.
import type { JsonValue } from '@bufbuild/protobuf';
import { describe, expect, onTestFinished, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { lockWaiters } from '../support/lock-waiters.ts';
import { isAccepted, newPerson, refreshed, type SignedIn, signedIn } from '../support/people.ts';
import {
  challenged,
  signInWithCode,
  stepUpWithCode,
  tokensOf,
  type WithTotp,
  withTotp,
} from '../support/second-factors.ts';
import { type SensitiveCall, sensitiveCalls, WITH_PROVIDER } from '../support/sensitive-calls.ts';
import { storedTotp } from '../support/stored-factors.ts';

const app = await testApp({ REAUTHENTICATION_SECONDS: '600', ...WITH_PROVIDER });
const { call } = app;

const as = ({ accessToken }: { accessToken: string }) => ({ bearer: accessToken });

async function verified(): Promise<WithTotp> {
  const person = await signedIn(call);
  await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [person.userId]);
  return withTotp(app, call, await refreshed(call, person));
}

const SENSITIVE: SensitiveCall<WithTotp>[] = [
  ...sensitiveCalls<WithTotp>(app, call, (person) => signInWithCode(app, call, person)),
  ['RemoveFactor', account.removeFactor, ({ factorId }) => ({ factorId })],
  ['RegenerateRecoveryCodes', account.regenerateRecoveryCodes, () => ({})],
  ['ChangePassword', account.changePassword, () => ({ newPassword: newPerson().password })],
];

describe.each(SENSITIVE)('%s of an account with a factor', (name, method, input) => {
  const given = async (person: WithTotp, currentPassword: string) =>
    ({ ...((await input(person)) as object), currentPassword }) as JsonValue;
  /** ChangePassword requires the password in any case. */
  const withPassword = name === 'ChangePassword';

  test('requires a step-up, in this session, within ten minutes, by the tokens that it returned', async () => {
    const person = await verified();
    const session = await signInWithCode(app, call, person);
    for (const currentPassword of withPassword ? [person.password] : [person.password, '']) {
      expect((await call(method, await given(person, currentPassword), as(session))).reason).toBe(
        'REAUTHENTICATION_REQUIRED',
      );
    }
    const stepped = await stepUpWithCode(app, call, session);
    const request = await given(person, withPassword ? person.password : '');
    const others = [session, await signInWithCode(app, call, person)];
    for (const one of others) expect((await call(method, request, as(one))).reason).toBe('REAUTHENTICATION_REQUIRED');
    app.advance(601_000);
    const late = await refreshed(call, stepped);
    expect((await call(method, request, as(late))).reason).toBe('REAUTHENTICATION_REQUIRED');
    const again = await stepUpWithCode(app, call, late);
    const wrong = await given(person, 'a wrong pass phrase');
    expect((await call(method, wrong, as(again))).reason).toBe('PASSWORD_WRONG');
    expect((await call(method, request, as(again))).code).toBe('ok');
  });
});

test('Reauthenticate never accepts the password of such an account, and does not show whether it was right', async () => {
  const session = await signInWithCode(app, call, await verified());
  for (const currentPassword of [session.password, 'a wrong pass phrase']) {
    const outcome = await call(account.reauthenticate, { currentPassword }, as(session));
    expect(outcome.reason).toBe('REAUTHENTICATION_REQUIRED');
  }
});

test('a re-authentication by the password before the first factor ends with the factor, for other sessions', async () => {
  const person = await signedIn(call);
  const other = await signedIn(call, person);
  const { body } = await call(account.reauthenticate, { currentPassword: person.password }, as(other));
  const here = tokensOf(body);
  await withTotp(app, call, person);
  expect((await call(account.revokeOtherSessions, {}, as(here))).reason).toBe('REAUTHENTICATION_REQUIRED');
});

test('ChangePassword with the factor leaves the session re-authenticated', async () => {
  const session = await stepUpWithCode(app, call, await signInWithCode(app, call, await verified()));
  const input = { currentPassword: session.password, newPassword: newPerson().password };
  const changed = tokensOf((await call(account.changePassword, input, as(session))).body);
  expect((await call(account.revokeOtherSessions, {}, as(changed))).code).toBe('ok');
  await challenged(call, { ...session, password: input.newPassword });
});

const RACING = [
  ...sensitiveCalls<SignedIn>(app, call, (person) => signedIn(call, person)),
  ['RegenerateRecoveryCodes', account.regenerateRecoveryCodes, () => ({})],
  ['ChangePassword', account.changePassword, () => ({ newPassword: newPerson().password })],
  ['Reauthenticate', account.reauthenticate, () => ({})],
] satisfies SensitiveCall<SignedIn>[];
/** These change nothing yet, and an addition that they begin is void once the account has a factor. */
const BEGINNING = ['StartLinkIdentity', 'StartAddTotp', 'StartAddPasskey'];

test.each(RACING.filter(([name]) => !BEGINNING.includes(name)))(
  '%s with the password changes nothing when the account gets its first factor meanwhile',
  async (_, method, input) => {
    const person = await signedIn(call);
    const request = { ...((await input(person)) as object), currentPassword: person.password } as JsonValue;
    const client = await app.owner.connect();
    onTestFinished(() => client.release());
    await client.query('BEGIN');
    await client.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [person.userId]);
    const calling = call(method, request, as(person));
    await eventually(async () => (await lockWaiters(app.owner)) === 1);
    await storedTotp(client, person.userId);
    await client.query('COMMIT');
    expect((await calling).reason).toBe('REAUTHENTICATION_REQUIRED');
    expect(await isAccepted(call, person.accessToken)).toBe(true);
  },
);

test('a password does not prolong a step-up', async () => {
  const person = await stepUpWithCode(app, call, await verified());
  app.advance(400_000);
  const change = { currentPassword: person.password, newPassword: newPerson().password };
  const { body } = await call(account.changePassword, change, as(person));
  const session = await refreshed(call, { ...person, ...tokensOf(body) });
  app.advance(300_000);
  const late = await refreshed(call, session);
  expect((await call(account.regenerateRecoveryCodes, {}, as(late))).reason).toBe('REAUTHENTICATION_REQUIRED');
});

test('a password reset does not skip the second step', async () => {
  const person = await verified();
  const newPassword = newPerson().password;
  await call(auth.requestReset, { email: person.email });
  const resetToken = await tokenFromMail(person.email, /lkp_[\w-]+/);
  expect((await call(auth.confirmReset, { resetToken, newPassword })).code).toBe('ok');
  expect(await isAccepted(call, person.accessToken)).toBe(false);
  const { body } = await call(auth.login, { email: person.email, password: newPassword });
  expect(Object.keys(body)).toEqual(['challenge']);
  expect(body.challenge.kinds).toEqual(['FACTOR_KIND_TOTP', 'FACTOR_KIND_RECOVERY_CODE']);
});

test('UndoEmailChange does not skip the second step with a factor from before', async () => {
  const person = await verified();
  await app.owner.query("UPDATE factors SET created_at = created_at - interval '30 days' WHERE user_id = $1", [
    person.userId,
  ]);
  const newEmail = newPerson().email;
  const stepped = await stepUpWithCode(app, call, await signInWithCode(app, call, person));
  expect((await call(account.changeEmail, { newEmail }, as(stepped))).code).toBe('ok');
  const verificationToken = await tokenFromMail(newEmail, /lkv_[\w-]+/);
  await call(auth.verifyEmail, { verificationToken }, as(stepped));
  const undoToken = await tokenFromMail(person.email, /lku_[\w-]+/);
  expect((await call(auth.undoEmailChange, { undoToken })).code).toBe('ok');
  const resetToken = await tokenFromMail(person.email, /lkp_[\w-]+/);
  const newPassword = newPerson().password;
  expect((await call(auth.confirmReset, { resetToken, newPassword })).code).toBe('ok');
  await challenged(call, { email: person.email, password: newPassword });
});

async function tokenFromMail(email: string, form: RegExp): Promise<string> {
  return eventually(() => {
    const texts = app.mailbox.mails.filter(({ to }) => to.includes(email)).map(({ text }) => form.exec(text)?.[0]);
    return texts.findLast((token) => token !== undefined);
  });
}
