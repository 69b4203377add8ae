import { decodeJwt } from 'jose';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp, testApp } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { bearer, gatewayCallers, refreshed, type SignedIn, signedIn } from '../support/people.ts';
import { rawConnection } from '../support/raw.ts';

const app = await testApp({ AUDIENCE: 'shop' });
const { call } = app;
let person: SignedIn;
let admin: SignedIn;

beforeAll(async () => {
  ({ person, admin } = await gatewayCallers(app, call));
});

const ask = (query: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${app.url}/forward-auth${query}`, { method, headers });

describe('forward auth', () => {
  test.each(['??role=admin', '?role=user?&role=admin', '?access=public?role=admin', '?role=user&role=admin'])(
    'rejects the ambiguous query %s',
    async (query) => {
      expect((await ask(query, bearer(person.accessToken))).status).toBeGreaterThanOrEqual(400);
    },
  );

  test.each(['GET', 'HEAD', 'POST', 'DELETE'])('allows the user of the token, by %s', async (method) => {
    const response = await ask('', bearer(person.accessToken), method);
    expect(response.status).toBe(200);
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      'x-auth-user-id': person.userId,
      'x-auth-roles': 'user',
      'x-auth-email': person.email,
      'x-auth-email-verified': 'false',
      'x-auth-acr': 'pwd',
      'x-auth-time': String(decodeJwt(person.accessToken).auth_time),
      'cache-control': 'no-store',
    });
    expect(headers['x-auth-session-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(await response.text()).toBe('');
  });

  test('shows a verified email after the next Refresh', async () => {
    const owner = await signedIn(call);
    await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [owner.userId]);
    await eventually(async () => (await ask('', bearer(owner.accessToken))).status === 401, 1_000);
    const response = await ask('', bearer((await refreshed(call, owner)).accessToken));
    expect(response.headers.get('x-auth-email-verified')).toBe('true');
  });

  test.each([
    ['another scheme', '', { authorization: 'Basic eDp5' }],
    ['an invalid token where it is optional', '?access=optional', bearer('x')],
  ])('rejects %s', async (_, query, headers) => {
    const response = await ask(query, headers);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ reason: 'TOKEN_INVALID' });
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="latchkey", error="invalid_token"');
    expect(response.headers.has('x-auth-user-id')).toBe(false);
  });

  test('rejects two credentials', async () => {
    const head = `GET /forward-auth HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${person.accessToken}\r\nauthorization: Bearer y\r\n\r\n`;
    const connection = rawConnection(Number(new URL(app.url).port), head);
    onTestFinished(() => void connection.socket.destroy());
    await eventually(() => connection.received().includes('\r\n\r\n'));
    expect(connection.received()).toMatch(/^HTTP\/1\.1 401 /);
  });

  test.each([
    ['optional', {}],
    ['public', {}],
    ['public', { authorization: 'Bearer x' }],
  ])('is anonymous where access is %s', async (access, headers) => {
    const response = await ask(`?access=${access}`, headers);
    const names = ['user-id', 'session-id', 'email', 'email-verified', 'acr', 'time', 'service', 'roles'];
    const said = names.map((name) => response.headers.get(`x-auth-${name}`));
    expect([response.status, ...said]).toEqual([200, ...names.map(() => '')]);
  });

  test('requires a role and an audience together', async () => {
    expect((await ask('?role=admin&audience=shop', bearer(admin.accessToken))).status).toBe(200);
    expect((await ask('?role=admin&audience=office', bearer(admin.accessToken))).status).toBe(401);
  });

  test.each([
    '?roel=admin',
    '?role=',
    '?role=No+Role',
    '?audience=',
    '?access=open',
    '?access=public&access=required',
    '?__proto__=x',
  ])('rejects the invalid configuration %s', async (query) => {
    const response = await ask(query, bearer(admin.accessToken));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      reason: 'INVALID_ARGUMENT',
      violations: [{ description: expect.any(String) }],
    });
  });

  test('names a parameter that is repeated', async () => {
    const response = await ask('?acr=mfa&acr=phr&toString=x', bearer(admin.accessToken));
    expect(await response.json()).toMatchObject({
      violations: [{ field: 'acr', description: 'must not be repeated' }],
    });
    expect((await ask('?toString=x', bearer(admin.accessToken))).status).toBe(400);
  });

  test('returns 503 while the revocation status is unavailable', async () => {
    const own = await startTestApp({ REVOCATION_MAX_AGE_MS: '500' }, { api: true, worker: false });
    onTestFinished(() => own.close());
    const holder = await signedIn(viaFetch(own.url));
    const client = await own.owner.connect();
    await client.query('BEGIN; LOCK TABLE changes, sessions IN ACCESS EXCLUSIVE MODE');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const startedAt = performance.now();
    const response = await fetch(`${own.url}/forward-auth`, { headers: bearer(holder.accessToken) });
    // Two seconds, and the delay of a busy machine.
    expect(performance.now() - startedAt).toBeLessThan(2_500);
    await client.query('ROLLBACK');
    client.release();
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
  }, 30_000);
});
