// A sign-in at an identity provider has the strength that its ID token states, and does not skip the second step.
import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth, type Outcome } from '../support/clients.ts';
import { browse, CLIENT, startOpenIdServer } from '../support/openid-provider.ts';
import { newPerson } from '../support/people.ts';
import { codeAt } from '../support/second-factors.ts';

const REDIRECT = 'https://product.example/callback/acme';
const acme = await startOpenIdServer([REDIRECT]);
const app = await testApp({
  OAUTH_PROVIDERS: 'acme',
  OAUTH_ACME_ISSUER: acme.issuer,
  OAUTH_ACME_CLIENT_ID: CLIENT.id,
  OAUTH_ACME_CLIENT_SECRET: CLIENT.secret,
  OAUTH_ACME_REDIRECT_URIS: REDIRECT,
});
const { call } = app;
// A code belongs to a step, which must not end in the middle of a test.
app.freeze();
afterAll(() => acme.close());

function becomeSomeone(amr?: string[]): void {
  acme.account = { sub: randomUUID(), email: newPerson().email, email_verified: true, ...(amr && { amr }) };
}

async function signIn(reauthenticate = false): Promise<Outcome> {
  const started = (await call(auth.startOAuth, { provider: 'acme', redirectUri: REDIRECT, reauthenticate })).body;
  const query = await browse(started.authorizationUrl, REDIRECT);
  const { state, binding } = started;
  const [code, issuer] = [query.get('code') ?? '', query.get('iss') ?? ''];
  return call(auth.finishOAuth, { state, binding, code, issuer, redirectUri: REDIRECT });
}

test.each<[string, string[] | undefined, { acr: string; amr: string[] }]>([
  ['no methods', undefined, { acr: 'pwd', amr: [] }],
  ['a password', ['pwd'], { acr: 'pwd', amr: ['pwd'] }],
  ['a one-time code without mfa', ['pwd', 'otp'], { acr: 'pwd', amr: ['otp', 'pwd'] }],
  ['a hardware key without mfa', ['hwk'], { acr: 'pwd', amr: ['hwk'] }],
  ['mfa', ['pwd', 'mfa'], { acr: 'mfa', amr: ['mfa', 'pwd'] }],
  ['mfa twice', ['mfa', 'mfa'], { acr: 'mfa', amr: ['mfa'] }],
  ['mfa in upper case', ['MFA'], { acr: 'pwd', amr: [] }],
])('an ID token with %s', async (_, amr, strength) => {
  becomeSomeone(amr);
  const { body } = await signIn();
  expect(decodeJwt(body.tokens.accessToken)).toMatchObject(strength);
});

/** An account without a password, with an authenticator app. The clock stays that of the provider. */
async function withFactor(amr: string[]) {
  becomeSomeone(amr);
  const { body } = await signIn(true);
  const bearer = body.tokens.accessToken;
  const { challengeId, totp } = (await call(account.startAddTotp, {}, { bearer })).body;
  const totpCode = codeAt(totp.secret, app.time() - 30_000);
  const added = await call(account.finishAddTotp, { challengeId, totpCode }, { bearer });
  expect(added.code).toBe('ok');
  return { userId: body.user.id as string, secret: totp.secret as string };
}

test('an account with a factor must use it, also when the provider states two factors', async () => {
  const { secret } = await withFactor(['mfa', 'pwd']);
  const { body } = await signIn();
  expect(body.tokens).toBeUndefined();
  const totpCode = codeAt(secret, app.time());
  const finished = await call(auth.finishSignIn, { challengeId: body.challenge.id, totpCode });
  expect(decodeJwt(finished.body.tokens.accessToken)).toMatchObject({ acr: 'mfa', amr: ['mfa', 'otp', 'pwd'] });
});

test('a sign-in at the provider does not re-authenticate an account with a factor', async () => {
  const { secret } = await withFactor(['mfa', 'pwd']);
  const { body } = await signIn(true);
  const finished = await call(auth.finishSignIn, {
    challengeId: body.challenge.id,
    totpCode: codeAt(secret, app.time()),
  });
  const bearer = finished.body.tokens.accessToken;
  expect((await call(account.revokeOtherSessions, {}, { bearer })).reason).toBe('REAUTHENTICATION_REQUIRED');
});

test('an identity that is unlinked between the steps cannot complete the sign-in', async () => {
  const { userId, secret } = await withFactor(['pwd']);
  const { body } = await signIn();
  await app.owner.query('DELETE FROM identities WHERE user_id = $1', [userId]);
  const totpCode = codeAt(secret, app.time());
  const finished = await call(auth.finishSignIn, { challengeId: body.challenge.id, totpCode });
  expect(finished.reason).toBe('CREDENTIALS_INVALID');
  const { rows } = await app.owner.query('SELECT FROM sessions WHERE user_id = $1 AND ended_at IS NULL', [userId]);
  expect(rows).toHaveLength(1);
});

test('an account that the provider created adds a factor in order to sign in, once a policy requires it', async () => {
  becomeSomeone(['mfa', 'pwd']);
  await app.owner.query("UPDATE factor_policy SET scope = 'all', grace_seconds = 0, changed_at = '2000-01-01'");
  const { body } = await signIn();
  expect(body.tokens).toBeUndefined();
  expect(body.newUser).toBe(true);
  const totpCode = codeAt(body.challenge.enrolment.totp.secret, app.time());
  const finished = await call(auth.finishSignIn, { challengeId: body.challenge.id, totpCode });
  expect(finished.body.recoveryCodes).toHaveLength(10);
});
