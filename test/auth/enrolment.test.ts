// A policy requires a factor: an account without one adds it in order to sign in, once its grace period has ended.
import { decodeJwt } from 'jose';
import { beforeEach, describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { createAuthenticator } from '../support/authenticator.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type Registered, reauthenticated, registered, type SignedIn, signedIn } from '../support/people.ts';
import { addPasskey, challenged, codeAt, nextCode, PAGE, withTotp } from '../support/second-factors.ts';

const DAY_MS = 86_400_000;

const app = await testApp();
const { call } = app;

beforeEach(() => setPolicy("scope = 'none'"));

/** As an operator who changes the policy now. */
async function setPolicy(columns: string): Promise<void> {
  await app.owner.query("UPDATE factor_policy SET scope = 'none', roles = '{}', grace_seconds = 0, changed_at = $1", [
    new Date(app.time()),
  ]);
  await app.owner.query(`UPDATE factor_policy SET ${columns}`);
}

const login = async ({ email, password }: Registered) => (await call(auth.login, { email, password })).body;

async function requiredAt(person: Registered): Promise<number | null> {
  const { factorRequiredAt, challenge } = await login(person);
  expect(challenge).toBeUndefined();
  return factorRequiredAt ? Date.parse(factorRequiredAt) : null;
}

describe('the grace period', () => {
  test('begins with the policy for an account that was there before', async () => {
    const person = await registered(call);
    app.advance(DAY_MS);
    const changedAt = app.time();
    await setPolicy("scope = 'all', grace_seconds = 3600");
    expect(await requiredAt(person)).toBeGreaterThanOrEqual(changedAt + 3_600_000);
    expect(await requiredAt(person)).toBeLessThan(changedAt + 3_610_000);
    app.advance(3_601_000);
    expect((await login(person)).challenge.enrolment).toBeDefined();
  });

  test('begins with the account for a later one', async () => {
    await setPolicy("scope = 'all', grace_seconds = 3600");
    app.advance(DAY_MS);
    const before = app.time();
    const person = await registered(call);
    expect(await requiredAt(person)).toBeGreaterThanOrEqual(before + 3_600_000);
    app.advance(3_601_000);
    expect((await login(person)).challenge.enrolment).toBeDefined();
  });

  test('begins with the grant of a role, also of one that implies it', async () => {
    await app.owner.query(
      "INSERT INTO roles (name, description) VALUES ('reader', ''), ('writer', '') ON CONFLICT DO NOTHING",
    );
    await app.owner.query("INSERT INTO role_implications VALUES ('writer', 'reader') ON CONFLICT DO NOTHING");
    const [person, other] = [await registered(call), await registered(call)];
    await setPolicy("scope = 'roles', roles = '{reader}', grace_seconds = 3600");
    app.advance(DAY_MS);
    expect(await requiredAt(other)).toBeNull();
    const grantedAt = app.time();
    await app.owner.query("INSERT INTO user_roles VALUES ($1, 'writer', $2)", [person.userId, new Date(grantedAt)]);
    expect(await requiredAt(person)).toBe(grantedAt + 3_600_000);
    app.advance(3_601_000);
    expect((await login(person)).challenge.enrolment).toBeDefined();
    await app.owner.query('UPDATE user_roles SET expires_at = $2 WHERE user_id = $1', [
      person.userId,
      new Date(app.time()),
    ]);
    expect(await requiredAt(person)).toBeNull();
  });

  test('does not exist after an administrator has removed a factor', async () => {
    await setPolicy("scope = 'all', grace_seconds = 31536000");
    const person = await registered(call);
    expect(await requiredAt(person)).not.toBeNull();
    await app.owner.query('UPDATE users SET factor_removed_at = $2 WHERE id = $1', [
      person.userId,
      new Date(app.time()),
    ]);
    expect((await login(person)).challenge.enrolment).toBeDefined();
    await setPolicy("scope = 'none'");
    expect(await requiredAt(person)).toBeNull();
  });

  test('does not matter to an account that has a factor', async () => {
    const person = await withTotp(app, call);
    await setPolicy("scope = 'all'");
    const { enrolment, kinds } = await challenged(call, person);
    expect(enrolment).toBeUndefined();
    expect(kinds).toContain('FACTOR_KIND_TOTP');
  });

  test('does not end sessions, and Refresh goes on', async () => {
    const person = await signedIn(call);
    await setPolicy("scope = 'all'");
    expect((await call(auth.refresh, { refreshToken: person.refreshToken })).code).toBe('ok');
  });
});

describe('the enrolment challenge', () => {
  async function enrolling(person?: Registered) {
    await setPolicy("scope = 'all'");
    const owner = person ?? (await registered(call));
    const { challenge, tokens } = await login(owner);
    expect(tokens).toBeUndefined();
    return { person: owner, ...challenge } as { person: Registered; id: string; kinds: string[]; enrolment: Enrolment };
  }
  type Enrolment = { totp: { secret: string; uri: string; qrCodeSvg: string }; passkeyCreationOptions: string };

  const finish = (challengeId: string, proof: object) => call(auth.finishSignIn, { challengeId, ...proof });
  const register = (options: string) => createAuthenticator().register(options, { origin: PAGE });

  test('is finished with an authenticator app, and returns recovery codes', async () => {
    const { person, id, kinds, enrolment } = await enrolling();
    expect(kinds).toEqual(['FACTOR_KIND_TOTP', 'FACTOR_KIND_PASSKEY']);
    expect(enrolment.totp.uri).toContain(enrolment.totp.secret);
    expect(enrolment.totp.qrCodeSvg).toContain('<svg');
    const { body } = await finish(id, { totpCode: codeAt(enrolment.totp.secret, app.time()) });
    expect(body.recoveryCodes).toHaveLength(10);
    expect(decodeJwt(body.tokens.accessToken)).toMatchObject({ acr: 'mfa', amr: ['mfa', 'otp', 'pwd'] });
    const next = await challenged(call, person);
    expect(next.enrolment).toBeUndefined();
    expect((await finish(next.id, { totpCode: nextCode(app, enrolment.totp.secret) })).code).toBe('ok');
    const { id: other } = await challenged(call, person);
    expect((await finish(other, { recoveryCode: body.recoveryCodes[3] })).code).toBe('ok');
    await eventually(() =>
      app.mailbox.mails.some(({ to, subject }) => to.includes(person.email) && /new second factor/.test(subject)),
    );
  });

  test('is finished with a passkey, and returns recovery codes', async () => {
    const { id, enrolment } = await enrolling();
    const { body } = await finish(id, { passkeyRegistration: register(enrolment.passkeyCreationOptions) });
    expect(body.recoveryCodes).toHaveLength(10);
    expect(decodeJwt(body.tokens.accessToken)).toMatchObject({ acr: 'phr', amr: ['mfa', 'pop', 'pwd'] });
  });

  test('is void once the account has a factor', async () => {
    const { person, id, enrolment } = await enrolling();
    const other = await enrolling(person);
    expect((await finish(other.id, { totpCode: codeAt(other.enrolment.totp.secret, app.time()) })).code).toBe('ok');
    const totpCode = codeAt(enrolment.totp.secret, app.time());
    expect((await finish(id, { totpCode })).reason).toBe('CHALLENGE_INVALID');
    const passkeyRegistration = register(enrolment.passkeyCreationOptions);
    expect((await finish(id, { passkeyRegistration })).reason).toBe('CHALLENGE_INVALID');
    expect(await factorsOf(person)).toBe(1);
  });

  test('adds one factor and opens one session when ten calls finish challenges in parallel', async () => {
    const { person } = await enrolling();
    const challenges = await Promise.all(Array.from({ length: 10 }, () => enrolling(person)));
    const outcomes = await Promise.all(
      challenges.map(({ id, enrolment }) => finish(id, { totpCode: codeAt(enrolment.totp.secret, app.time()) })),
    );
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    expect(new Set(outcomes.flatMap(({ reason }) => reason ?? []))).toEqual(new Set(['CHALLENGE_INVALID']));
    expect(await factorsOf(person)).toBe(1);
    const { rows } = await app.owner.query('SELECT FROM sessions WHERE user_id = $1', [person.userId]);
    expect(rows).toHaveLength(1);
  });

  test('accepts no proof of another kind, and loses nothing by one', async () => {
    const { id, enrolment } = await enrolling();
    const stranger = await addPasskey(call, await reauthenticated(call, await strangerSignedIn()));
    const { passkeyRequestOptions } = (await call(auth.startPasskeySignIn, {})).body.challenge;
    const proofs = [
      { recoveryCode: stranger.recoveryCodes[0] },
      { recoveryCode: 'x' },
      { passkeyAssertion: stranger.authenticator.assert(passkeyRequestOptions, { origin: PAGE }) },
      { totpCode: '12345' },
    ];
    for (const proof of proofs) expect((await finish(id, proof)).reason).toBe('FACTOR_INVALID');
    expect((await finish(id, { passkeyAssertion: '{}' })).fields).toEqual(['passkey_assertion']);
    expect((await finish(id, { totpCode: codeAt(enrolment.totp.secret, app.time()) })).code).toBe('ok');
  });

  test('accepts no recovery code of the account, which has a factor meanwhile', async () => {
    const { person, id } = await enrolling();
    const other = await enrolling(person);
    const finished = await finish(other.id, { totpCode: codeAt(other.enrolment.totp.secret, app.time()) });
    const [recoveryCode] = finished.body.recoveryCodes;
    expect((await finish(id, { recoveryCode })).reason).toBe('FACTOR_INVALID');
    expect((await finish((await challenged(call, person)).id, { recoveryCode })).code).toBe('ok');
  });

  test('a challenge of an account with a factor does not accept a new passkey', async () => {
    const { enrolment } = await enrolling();
    await setPolicy("scope = 'none'");
    const person = await withTotp(app, call);
    const { id } = await challenged(call, person);
    const passkeyRegistration = register(enrolment.passkeyCreationOptions);
    expect((await finish(id, { passkeyRegistration })).reason).toBe('FACTOR_INVALID');
    expect(await factorsOf(person)).toBe(1);
  });

  /** The policy applies to every user, so the session must begin before it. */
  async function strangerSignedIn(): Promise<SignedIn> {
    await setPolicy("scope = 'none'");
    return signedIn(call);
  }

  async function factorsOf({ userId }: Registered): Promise<number> {
    const { rowCount } = await app.owner.query('SELECT FROM factors WHERE user_id = $1', [userId]);
    return rowCount ?? 0;
  }
});
