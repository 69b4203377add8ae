// `session=cookie`: the session cookie of a browser in place of an access token, at the endpoints of gateways.
import { afterAll, describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { browserSession, NAVIGATE } from '../support/browser-session.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { bearer, signedIn } from '../support/people.ts';
import { sendRequest } from '../support/send-request.ts';
import { createCheck, envoyRequest } from './envoy-check.ts';

const HOST = 'app.example';
const ORIGIN = `https://${HOST}`;
const app = await testApp({ SESSION_COOKIE_ORIGINS: `${ORIGIN},https://shop.example`, AUDIENCE: 'shop' });
const { call } = app;
const COOKIE = '__Host-latchkey-session';

const newSession = () => browserSession(app, ORIGIN);

function ask(
  query: string,
  headers: Record<string, string> = {},
  { method = 'GET', host = HOST, uri = '/orders?id=5' } = {},
) {
  const forwarded = { 'x-forwarded-method': method, 'x-forwarded-host': host, 'x-forwarded-uri': uri };
  return sendRequest(`${app.url}/forward-auth?${query}`, { headers: { ...forwarded, ...headers } });
}

const reasonOf = async (response: Response) => ((await response.json()) as { reason: string }).reason;

describe('forward auth with session=cookie', () => {
  test('identifies the user of the cookie, and hands the other cookies on', async () => {
    const { cookie, userId } = await newSession();
    const response = await ask('session=cookie', {
      cookie: `theme=dark; ${cookie}; __Secure-latchkey-refresh=x; cart=7`,
    });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-auth-user-id': userId,
      cookie: 'theme=dark; cart=7',
    });
    expect((await ask('session=cookie', { cookie })).headers.get('cookie')).toBe('');
  });

  test('hides its cookies on every route, and leaves a request without cookies alone', async () => {
    const { cookie } = await newSession();
    const { accessToken } = await signedIn(call);
    const sent = { cookie: `theme=dark; ${cookie}`, ...bearer(accessToken) };
    for (const query of ['', 'access=public', 'access=optional', 'session=cookie']) {
      expect([query, (await ask(query, sent)).headers.get('cookie')]).toEqual([query, 'theme=dark']);
      expect([query, (await ask(query, bearer(accessToken))).headers.get('cookie')]).toEqual([query, null]);
    }
  });

  test('accepts no cookie on another route, and no access token in the cookie', async () => {
    const { cookie } = await newSession();
    expect((await ask('', { cookie })).status).toBe(401);
    const { accessToken } = await signedIn(call);
    expect((await ask('session=cookie', { cookie: `${COOKIE}=${accessToken}` })).status).toBe(401);
    const token = cookie.slice(COOKIE.length + 1);
    expect((await ask('session=cookie', bearer(token))).status).toBe(401);
    expect((await ask('session=cookie', { cookie: `${cookie}; ${cookie}` })).status).toBe(401);
  });

  test('prefers the authorization header', async () => {
    const { cookie } = await newSession();
    const other = await signedIn(call);
    const response = await ask('session=cookie', { cookie, ...bearer(other.accessToken) });
    expect(response.headers.get('x-auth-user-id')).toBe(other.userId);
    const invalid = await ask('session=cookie', { cookie, ...NAVIGATE, ...bearer('x') });
    expect([invalid.status, invalid.headers.get('location')]).toEqual([401, null]);
  });

  test('sends a page to the step-up that its route requires, and a script a 401', async () => {
    const { cookie } = await newSession();
    const stepUp = `${ORIGIN}/session/step-up?return=%2Forders%3Fid%3D5`;
    const page = await ask('session=cookie&acr=mfa', { ...NAVIGATE, cookie });
    expect([page.status, page.headers.get('location')]).toEqual([302, `${stepUp}&acr=mfa`]);
    const forNginx = await ask('session=cookie&acr=phr&redirect=header', { ...NAVIGATE, cookie });
    expect([forNginx.status, forNginx.headers.get('x-auth-redirect')]).toEqual([401, `${stepUp}&acr=phr`]);
    const script = await ask('session=cookie&acr=mfa', { cookie, 'sec-fetch-mode': 'cors' });
    expect([script.status, script.headers.get('location')]).toEqual([401, null]);
    expect(script.headers.get('www-authenticate')).toContain('acr_values="mfa"');
    const { accessToken } = await signedIn(call);
    const byToken = await ask('session=cookie&acr=mfa', { ...NAVIGATE, ...bearer(accessToken), cookie });
    expect([byToken.status, byToken.headers.get('location')]).toEqual([401, null]);
  });

  test('sends a page without a session to the renewal before a step-up', async () => {
    const page = await ask('session=cookie&acr=mfa', NAVIGATE);
    expect(page.headers.get('location')).toBe(`${ORIGIN}/session/renew?return=%2Forders%3Fid%3D5`);
  });

  test('sends a page whose authentication is too old to the step-up', async () => {
    const { cookie } = await newSession();
    expect((await ask('session=cookie&max_age=600', { ...NAVIGATE, cookie })).status).toBe(200);
    app.advance(601_000);
    const page = await ask('session=cookie&max_age=600', { ...NAVIGATE, cookie });
    expect(page.headers.get('location')).toBe(`${ORIGIN}/session/step-up?return=%2Forders%3Fid%3D5`);
  });

  test('sends a page to the renewal and a script a 401', async () => {
    const page = await ask('session=cookie', NAVIGATE);
    expect([page.status, page.headers.get('location')]).toEqual([
      302,
      `${ORIGIN}/session/renew?return=%2Forders%3Fid%3D5`,
    ]);
    expect(page.headers.get('cache-control')).toBe('no-store');
    const forNginx = await ask('session=cookie&redirect=header', NAVIGATE);
    expect([forNginx.status, forNginx.headers.get('x-auth-redirect')]).toEqual([
      401,
      `${ORIGIN}/session/renew?return=%2Forders%3Fid%3D5`,
    ]);
    for (const [headers, method] of [
      [{ 'sec-fetch-mode': 'cors' }, 'GET'],
      [{ accept: 'application/json' }, 'GET'],
      [NAVIGATE, 'POST'],
    ] as const) {
      const script = await ask('session=cookie', headers, { method });
      expect([script.status, script.headers.get('location'), await reasonOf(script)]).toEqual([
        401,
        null,
        'CREDENTIALS_MISSING',
      ]);
    }
  });

  test.each(['evil.example', 'app.example.evil.example', 'app.example:8443', 'user@app.example', ''])(
    'never leads to the host %j',
    async (host) => {
      const response = await ask('session=cookie', NAVIGATE, { host });
      expect(response.headers.get('location')).toBeNull();
      expect(response.status).toBeGreaterThanOrEqual(400);
    },
  );

  test('rejects the request of another site that can change something', async () => {
    const { cookie } = await newSession();
    const from = (headers: Record<string, string>, method = 'POST') =>
      ask('session=cookie', { cookie, ...headers }, { method }).then(({ status }) => status);
    expect(await from({ origin: ORIGIN })).toBe(200);
    expect(await from({ 'sec-fetch-site': 'same-origin' })).toBe(200);
    for (const headers of [
      {},
      { origin: 'null' },
      { origin: 'https://evil.example' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      expect([headers, await from(headers as Record<string, string>)]).toEqual([headers, 403]);
    }
    expect(await from({ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, 'GET')).toBe(200);
    expect(await from({ origin: 'https://evil.example', 'sec-fetch-mode': 'websocket' }, 'GET')).toBe(403);
    expect(await from({ origin: 'https://evil.example', upgrade: 'websocket' }, 'GET')).toBe(403);
  });

  test('treats an unusable cookie as none where access is optional', async () => {
    const { cookie, userId } = await newSession();
    const optional = (headers: Record<string, string>, method = 'GET') =>
      ask('session=cookie&access=optional', headers, { method });
    expect((await optional({ cookie })).headers.get('x-auth-user-id')).toBe(userId);
    for (const response of [
      await optional({ cookie: `${COOKIE}=x`, ...NAVIGATE }),
      await optional({ cookie, origin: 'https://evil.example' }, 'POST'),
      await optional({}),
    ]) {
      expect([response.status, response.headers.get('x-auth-user-id')]).toEqual([200, '']);
    }
  });

  test('requires roles and audiences as of a token, without a loop of redirects', async () => {
    const { cookie } = await newSession();
    expect((await ask('session=cookie&role=admin', { cookie, ...NAVIGATE })).status).toBe(403);
    expect((await ask('session=cookie&audience=shop', { cookie })).status).toBe(200);
    expect((await ask('session=cookie&audience=office', { cookie, ...NAVIGATE })).status).toBe(401);
  });

  test('rejects the cookie within a second after sign-out, and when a role changes', async () => {
    const { cookie, refreshToken, userId } = await newSession();
    await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [userId]);
    await eventually(async () => (await ask('session=cookie', { cookie })).status === 401, 1_000);
    expect((await ask('session=cookie', { cookie, ...NAVIGATE })).status).toBe(302);
    const other = await newSession();
    expect((await ask('session=cookie', { cookie: other.cookie })).status).toBe(200);
    await call(auth.logout, { refreshToken: other.refreshToken });
    await eventually(async () => (await ask('session=cookie', { cookie: other.cookie })).status === 401, 1_000);
    expect(refreshToken).toMatch(/^lkr_/);
  });

  test('is an invalid configuration where the gateway does not describe the request', async () => {
    const { cookie } = await newSession();
    const response = await sendRequest(`${app.url}/forward-auth?session=cookie`, { headers: { cookie } });
    expect([response.status, await reasonOf(response)]).toEqual([400, 'INVALID_ARGUMENT']);
    expect((await ask('session=yes', { cookie })).status).toBe(400);
  });
});

describe('ext_authz with session=cookie', () => {
  const { check, close } = createCheck(app.url);
  afterAll(close);

  test.each(['', '?'])('identifies, redirects and rejects as forward auth does (%j)', async (query) => {
    const ask = async (
      headers: Record<string, string>,
      requirement: Record<string, string> = { session: 'cookie' },
    ) => {
      const { httpResponse } = await check(envoyRequest(headers, requirement), query);
      const value = httpResponse.value as {
        status?: { code: number };
        headers?: { header?: { key: string; value: string } }[];
        headersToRemove?: string[];
      };
      const sent = Object.fromEntries((value.headers ?? []).map(({ header }) => [header?.key, header?.value]));
      return { status: value.status?.code ?? 200, headers: sent, removed: value.headersToRemove ?? [] };
    };
    const { cookie, userId } = await newSession();
    expect((await ask({ cookie: `a=b; ${cookie}` })).headers).toMatchObject({
      'x-auth-user-id': userId,
      cookie: 'a=b',
    });
    expect((await ask({ cookie })).removed).toContain('cookie');
    expect((await ask({ cookie }, { access: 'public' })).removed).toContain('cookie');
    expect((await ask({ cookie: `a=b; ${cookie}` }, { access: 'public' })).headers.cookie).toBe('a=b');
    expect((await ask({}, { access: 'public' })).removed).not.toContain('cookie');
    const weak = await ask({ ...NAVIGATE, cookie }, { session: 'cookie', acr: 'mfa' });
    expect([weak.status, weak.headers.location]).toEqual([
      302,
      'https://shop.example/session/step-up?return=%2Forders%3Fx%3D1&acr=mfa',
    ]);
    const page = await ask(NAVIGATE);
    expect([page.status, page.headers.location]).toEqual([
      302,
      'https://shop.example/session/renew?return=%2Forders%3Fx%3D1',
    ]);
    expect((await ask({ 'sec-fetch-mode': 'cors' })).status).toBe(401);
    expect((await ask({ cookie, 'sec-fetch-mode': 'websocket', origin: 'https://evil.example' })).status).toBe(403);
    const socket = { cookie, 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', origin: 'https://evil.example' };
    expect((await ask(socket)).status).toBe(403);
  });

  test('answers a path that no URL can have', async () => {
    for (const path of ['/\ud800', `/${'ä'.repeat(3_000)}`]) {
      const http = { method: 'GET', host: 'shop.example', path, headers: NAVIGATE };
      const response = await sendRequest(`${app.url}/envoy.service.auth.v3.Authorization/Check`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ attributes: { request: { http }, contextExtensions: { session: 'cookie' } } }),
      });
      const answer = await response.text();
      expect([response.status, answer]).not.toEqual([500, expect.anything()]);
      if (path.includes('ä')) expect(answer).toContain('/session/renew?return=%2F"');
    }
  });
});
