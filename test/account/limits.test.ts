// Every RPC that changes an account is limited, whether the call succeeds or fails.
import { randomUUID } from 'node:crypto';
import type { JsonValue } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, type SignedIn, signedIn } from '../support/people.ts';

const READ_ONLY = ['GetMe', 'ListSessions', 'ListIdentities', 'ListFactors'];
const REDIRECT = 'https://product.example/callback';

/** A well-formed call of each other method. The user is not re-authenticated, so the account stays. */
const CALLS: Record<string, (n: number) => JsonValue> = {
  ChangePassword: (n) => ({ currentPassword: `wrong ${n}`, newPassword: 'a new pass phrase' }),
  Reauthenticate: (n) => ({ currentPassword: `wrong ${n}` }),
  UpdateMe: (n) => ({ fullName: `Grace ${n}` }),
  RevokeSession: () => ({ sessionId: randomUUID() }),
  RevokeOtherSessions: () => ({}),
  ChangeEmail: () => ({ newEmail: newPerson().email }),
  StartLinkIdentity: () => ({ provider: 'github', redirectUri: REDIRECT }),
  FinishLinkIdentity: (n) => ({ state: `lks_${n}`, code: 'x', binding: 'x', redirectUri: REDIRECT }),
  UnlinkIdentity: () => ({ identityId: randomUUID() }),
  DeleteMe: () => ({}),
  StartAddTotp: () => ({}),
  FinishAddTotp: (n) => ({ challengeId: `lkc_${n}`, totpCode: '000000' }),
  StartAddPasskey: () => ({}),
  FinishAddPasskey: (n) => ({ challengeId: `lkc_${n}`, passkeyRegistration: '{}' }),
  RenameFactor: (n) => ({ factorId: randomUUID(), name: `key ${n}` }),
  RemoveFactor: () => ({ factorId: randomUUID() }),
  RegenerateRecoveryCodes: () => ({}),
  StartStepUp: () => ({}),
  FinishStepUp: (n) => ({ challengeId: `lkc_${n}`, totpCode: '000000' }),
};

const app = await testApp({
  OAUTH_PROVIDERS: 'github',
  OAUTH_GITHUB_REDIRECT_URIS: REDIRECT,
  OAUTH_GITHUB_CLIENT_ID: 'x',
  OAUTH_GITHUB_CLIENT_SECRET: 'x',
  REAUTHENTICATION_SECONDS: '30',
  LIMIT_CHANGE_PASSWORD_USER: '4/900',
  LIMIT_ACCOUNT_CHANGE_USER: '4/900',
  LIMIT_REVOCATION_SESSION: '4/900',
  LIMIT_STEP_UP_SESSION: '4/900',
  // These count by network, and are not the subject of this test.
  LIMIT_START_OAUTH_NETWORK: '1000/60',
  LIMIT_FINISH_OAUTH_NETWORK: '1000/60',
});
const { call } = app;

const methods = Object.values(account).filter(({ name }) => !READ_ONLY.includes(name));

/** A user whose sign-in is not recent. */
async function signedInBefore(): Promise<SignedIn> {
  const person = await signedIn(call);
  app.advance(31_000);
  return person;
}

test.each(methods)('$name is limited for each user separately', async (method) => {
  const input = CALLS[method.name];
  if (!input) throw new Error(`${method.name} is new: give it a limit, and a call here; or name it as one that reads`);
  const [person, other] = [await signedInBefore(), await signedInBefore()];
  const reasons: (string | undefined)[] = [];
  for (let n = 0; n < 6; n += 1) reasons.push((await call(method, input(n), { bearer: person.accessToken })).reason);
  expect(reasons.slice(0, 4)).not.toContain('RATE_LIMITED');
  expect(reasons.slice(4)).toEqual(['RATE_LIMITED', 'RATE_LIMITED']);
  expect((await call(method, input(6), { bearer: other.accessToken })).reason).not.toBe('RATE_LIMITED');
});

test.each(READ_ONLY)('%s is not limited and writes nothing', async (name) => {
  const method = Object.values(account).find((one) => one.name === name);
  if (!method) throw new Error(`there is no ${name}`);
  const { accessToken } = await signedIn(call);
  const events = async () => (await app.owner.query('SELECT count(*)::int AS n FROM audit_events')).rows[0].n;
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const before = await events();
  for (let n = 0; n < 10; n += 1) expect((await call(method, {}, { bearer: accessToken })).code).toBe('ok');
  expect((await app.owner.query('SELECT FROM outbox')).rowCount).toBe(0);
  expect(await events()).toBe(before);
});

test('a thief who has used up the changes and attempts of an account cannot prevent its owner from ending sessions', async () => {
  const owner = await signedIn(call);
  const thief = await signedIn(call, owner);
  for (let n = 0; n < 6; n += 1) {
    await call(account.updateMe, { fullName: `Thief ${n}` }, { bearer: thief.accessToken });
    await call(account.revokeSession, { sessionId: randomUUID() }, { bearer: thief.accessToken });
    await call(account.reauthenticate, { currentPassword: `guess ${n}` }, { bearer: thief.accessToken });
    const guess = { currentPassword: `guess ${n}`, newPassword: 'a new pass phrase' };
    await call(account.changePassword, guess, { bearer: thief.accessToken });
  }
  const proof = { currentPassword: owner.password };
  const ended = await call(account.revokeOtherSessions, proof, { bearer: owner.accessToken });
  expect(ended.body).toEqual({ revoked: 1 });
});

test('a name that stays the same is not written', async () => {
  const { accessToken, userId } = await signedIn(call);
  const update = (fullName: string) => call(account.updateMe, { fullName }, { bearer: accessToken });
  expect((await update('Ada Lovelace')).body.user.fullName).toBe('Ada Lovelace');
  const version = async () => (await app.owner.query('SELECT xmin FROM users WHERE id = $1', [userId])).rows[0].xmin;
  const before = await version();
  for (const same of ['Ada Lovelace', ' Ada Lovelace ', 'Ada Lovelace']) {
    const { body } = await update(same);
    expect(body.user).toMatchObject({ id: userId, fullName: 'Ada Lovelace' });
  }
  expect(await version()).toBe(before);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const { rows } = await app.owner.query("SELECT 1 FROM audit_events WHERE type = 'profile_changed' AND user_id = $1", [
    userId,
  ]);
  expect(rows).toHaveLength(1);
});
