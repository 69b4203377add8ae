import argon2 from 'argon2';
import bcrypt from 'bcrypt';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { newPerson, registered, signedIn } from '../support/people.ts';

const app = await testApp({ AUDIENCE: 'shop,warehouse', ISSUER: 'https://auth.example' });
const { call } = app;

async function setHash(userId: string, hash: string | null): Promise<void> {
  await app.owner.query('UPDATE users SET password_hash = $2 WHERE id = $1', [userId, hash]);
}

async function hashOf(userId: string): Promise<string> {
  return (await app.owner.query('SELECT password_hash FROM users WHERE id = $1', [userId])).rows[0].password_hash;
}

describe('the tokens', () => {
  test('are JWTs of RFC 9068 that verify with the published keys', async () => {
    const person = await registered(call);
    const { body } = await call(auth.login, { email: person.email, password: person.password });
    const { accessToken, expiresAt, refreshToken, refreshExpiresAt } = body.tokens;
    const jwks = (await (await fetch(`${app.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
    const { payload, protectedHeader } = await jwtVerify(accessToken, createLocalJWKSet(jwks), {
      issuer: 'https://auth.example',
      audience: 'warehouse',
      typ: 'at+jwt',
      requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti', 'sid', 'roles'],
    });
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: jwks.keys[0]?.kid });
    expect(payload).toMatchObject({ sub: person.userId, roles: ['user'], email: person.email, email_verified: false });
    expect(payload.aud).toEqual(['shop', 'warehouse', 'latchkey']);
    expect((payload.exp as number) - (payload.iat as number)).toBe(900);
    expect(new Date(expiresAt).getTime()).toBe((payload.exp as number) * 1000);
    expect(refreshToken).toMatch(/^lkr_[A-Za-z0-9_-]{70}$/);
    expect((new Date(refreshExpiresAt).getTime() - Date.now()) / 86_400_000).toBeCloseTo(7, 2);
    expect(decodeProtectedHeader(accessToken).alg).toBe('ES256');
  });

  test('belong to a new session at each sign-in', async () => {
    const person = await registered(call);
    const [one, two] = [await signedIn(call, person), await signedIn(call, person)];
    expect(one.refreshToken).not.toBe(two.refreshToken);
    await call(auth.logout, { refreshToken: one.refreshToken });
    expect((await call(auth.verify, { accessToken: two.accessToken })).code).toBe('ok');
  });

  test('are valid in every process', async () => {
    const person = await signedIn(call);
    const { startApp } = await import('../../src/app.ts');
    const { readConfig } = await import('../../src/config/config.ts');
    const { createLogger } = await import('../../src/process/log.ts');
    const other = await startApp(readConfig(app.environment), { api: true, worker: false }, createLogger('silent'));
    onTestFinished(() => other.close());
    const callOther = viaFetch(`http://127.0.0.1:${other.port}`);
    expect((await callOther(auth.verify, { accessToken: person.accessToken })).code).toBe('ok');
    expect((await callOther(auth.refresh, { refreshToken: person.refreshToken })).code).toBe('ok');
  });
});

describe('failures', () => {
  test('are byte-identical for every cause', async () => {
    const [wrong, disabled, passwordless] = await Promise.all([registered(call), registered(call), registered(call)]);
    await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [disabled.userId]);
    await setHash(passwordless.userId, null);
    const attempts = [
      { email: newPerson().email, password: 'a wrong pass phrase' },
      { email: wrong.email, password: 'a wrong pass phrase' },
      { email: disabled.email, password: disabled.password },
      { email: passwordless.email, password: passwordless.password },
    ];
    const answers = await Promise.all(
      attempts.map(async (attempt) => {
        const response = await fetch(`${app.url}/latchkey.auth.v1.AuthService/Login`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-request-id': 'same' },
          body: JSON.stringify(attempt),
        });
        const headers = Object.fromEntries([...response.headers].filter(([name]) => name !== 'date'));
        return JSON.stringify([response.status, headers, await response.text()]);
      }),
    );
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain('CREDENTIALS_INVALID');
  });

  test('name a field that cannot belong to an account', async () => {
    expect((await call(auth.login, { email: 'x', password: '' })).fields).toEqual(['email', 'password']);
  });
});

describe('hashes of other algorithms', () => {
  test.each([
    ['bcrypt', () => bcrypt.hash('legacy pass phrase', 6)],
    ['bcrypt of PHP', async () => (await bcrypt.hash('legacy pass phrase', 6)).replace('$2b$', '$2y$')],
    [
      'older argon2id',
      () => argon2.hash('legacy pass phrase', { type: argon2.argon2id, memoryCost: 64, timeCost: 1, parallelism: 1 }),
    ],
    [
      'argon2i',
      () => argon2.hash('legacy pass phrase', { type: argon2.argon2i, memoryCost: 256, timeCost: 2, parallelism: 1 }),
    ],
  ])('%s signs in, is replaced, and signs in again', async (_, makeHash) => {
    const person = { ...(await registered(call)), password: 'legacy pass phrase' };
    const legacy = await makeHash();
    await setHash(person.userId, legacy);
    expect((await call(auth.login, { email: person.email, password: 'not it' })).reason).toBe('CREDENTIALS_INVALID');
    expect(await hashOf(person.userId)).toBe(legacy);
    await signedIn(call, person);
    const upgraded = await hashOf(person.userId);
    expect(upgraded).toMatch(/^\$argon2id\$v=19\$m=256,/);
    await signedIn(call, person);
    expect(await hashOf(person.userId)).toBe(upgraded);
  });

  test('bcrypt reads 72 bytes of a password: all of it counts from the first sign-in on', async () => {
    const person = await registered(call);
    const [read, password] = ['x'.repeat(72), `${'x'.repeat(72)}tail`];
    await setHash(person.userId, await bcrypt.hash(password, 6));
    const login = (typed: string) => call(auth.login, { email: person.email, password: typed });
    expect((await login(read.slice(1))).reason).toBe('CREDENTIALS_INVALID');
    expect((await login(password)).code).toBe('ok');
    expect((await login(read)).reason).toBe('CREDENTIALS_INVALID');
    expect((await login(password)).code).toBe('ok');
  });

  test('a hash of unknown form matches no password and looks like any other failure', async () => {
    const person = await registered(call);
    await setHash(person.userId, 'plain text');
    const { reason } = await call(auth.login, { email: person.email, password: 'plain text' });
    expect(reason).toBe('CREDENTIALS_INVALID');
  });
});
