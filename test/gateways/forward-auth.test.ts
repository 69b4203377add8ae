import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp, testApp } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { bearer, refreshed, type SignedIn, signedIn, visitors } from '../support/people.ts';
import { rawConnection } from '../support/raw.ts';

const app = await testApp({ AUDIENCE: 'shop' });
const { call } = app;
let person: SignedIn;
let admin: SignedIn;
let expired: string;

beforeAll(async () => {
  ({ person, admin, expired } = await visitors(app, call));
});

const ask = (query: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${app.url}/forward-auth${query}`, { method, headers });

describe('asked directly', () => {
  test.each(['??role=admin', '?role=user?&role=admin', '?access=public?role=admin', '?role=user&role=admin'])(
    'a query such as %s lets nobody pass',
    async (query) => {
      expect((await ask(query, bearer(person.accessToken))).status).toBeGreaterThanOrEqual(400);
    },
  );

  test.each(['GET', 'HEAD', 'POST', 'DELETE'])('admits whom the token speaks for, by %s', async (method) => {
    const response = await ask('', bearer(person.accessToken), method);
    expect(response.status).toBe(200);
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      'x-auth-user-id': person.userId,
      'x-auth-roles': 'user',
      'x-auth-email': person.email,
      'x-auth-email-verified': 'false',
      'cache-control': 'no-store',
    });
    expect(headers['x-auth-session-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(await response.text()).toBe('');
  });

  test('says whether the email is verified, from the next Refresh on', async () => {
    const owner = await signedIn(call);
    await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [owner.userId]);
    await eventually(async () => (await ask('', bearer(owner.accessToken))).status === 401, 1_000);
    const response = await ask('', bearer((await refreshed(call, owner)).accessToken));
    expect(response.headers.get('x-auth-email-verified')).toBe('true');
  });

  test.each<[string, string, () => Record<string, string>, number, string, string]>([
    ['no token', '', () => ({}), 401, 'CREDENTIALS_MISSING', 'Bearer realm="latchkey"'],
    ['garbage', '', () => bearer('x'), 401, 'TOKEN_INVALID', 'Bearer realm="latchkey", error="invalid_token"'],
    [
      'another scheme',
      '',
      () => ({ authorization: 'Basic eDp5' }),
      401,
      'TOKEN_INVALID',
      'Bearer realm="latchkey", error="invalid_token"',
    ],
    [
      'an expired token',
      '',
      () => bearer(expired),
      401,
      'TOKEN_EXPIRED',
      'Bearer realm="latchkey", error="invalid_token"',
    ],
    [
      'another audience',
      '?audience=office',
      () => bearer(person.accessToken),
      401,
      'AUDIENCE_MISMATCH',
      'Bearer realm="latchkey", error="invalid_token"',
    ],
    [
      'a role that is missing',
      '?role=admin',
      () => bearer(person.accessToken),
      403,
      'ROLE_NOT_GRANTED',
      'Bearer realm="latchkey", error="insufficient_scope"',
    ],
    [
      'garbage where a token is optional',
      '?access=optional',
      () => bearer('x'),
      401,
      'TOKEN_INVALID',
      'Bearer realm="latchkey", error="invalid_token"',
    ],
  ])('refuses %s', async (_, query, headers, status, reason, authenticate) => {
    const response = await ask(query, headers());
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ reason });
    expect(response.headers.get('www-authenticate')).toBe(authenticate);
    expect(response.headers.has('x-auth-user-id')).toBe(false);
  });

  test('two credentials are none', async () => {
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
  ])('as nobody where access is %s', async (access, headers) => {
    const response = await ask(`?access=${access}`, headers);
    const names = ['user-id', 'session-id', 'email', 'email-verified', 'service', 'roles'];
    const said = names.map((name) => response.headers.get(`x-auth-${name}`));
    expect([response.status, ...said]).toEqual([200, ...names.map(() => '')]);
  });

  test('all that a route asks for, together', async () => {
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
  ])('a route that is configured badly lets nobody pass: %s', async (query) => {
    const response = await ask(query, bearer(admin.accessToken));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      reason: 'INVALID_ARGUMENT',
      violations: [{ description: expect.any(String) }],
    });
  });

  test('503 when nobody can tell', async () => {
    const own = await startTestApp({ REVOCATION_MAX_AGE_MS: '500' }, { api: true, worker: false });
    onTestFinished(() => own.close());
    const somebody = await signedIn(viaFetch(own.url));
    const client = await own.owner.connect();
    await client.query('BEGIN; LOCK TABLE changes, sessions IN ACCESS EXCLUSIVE MODE');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const response = await fetch(`${own.url}/forward-auth`, { headers: bearer(somebody.accessToken) });
    await client.query('ROLLBACK');
    client.release();
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
  }, 30_000);
});
