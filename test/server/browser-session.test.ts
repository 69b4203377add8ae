// Sign-in with cookies: /session/sign-in, /session/renew and /session/sign-out.
import { describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp, testApp } from '../support/app.ts';
import { account, auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, signedIn } from '../support/people.ts';
import { type Sent, sendRequest } from '../support/send-request.ts';

const ORIGIN = 'https://app.example';
const app = await testApp({ SESSION_COOKIE_ORIGINS: `${ORIGIN},https://admin.example` });
const { call } = app;
const NAMES = { session: '__Host-latchkey-session', refresh: '__Secure-latchkey-refresh' };

const send = (path: string, sent?: Sent) => sendRequest(`${app.url}${path}`, sent);

const json = { 'content-type': 'application/json', origin: ORIGIN };
const form = { 'content-type': 'application/x-www-form-urlencoded', origin: ORIGIN, 'sec-fetch-mode': 'navigate' };

/** The cookies that a response sets, with their attributes. */
function cookiesOf(response: Response): Record<string, string> {
  return Object.fromEntries(
    response.headers.getSetCookie().map((text) => {
      const [, name = '', rest = ''] = /^([^=]+)=(.*)$/.exec(text) ?? [];
      return [name, rest];
    }),
  );
}

const cookieValue = (response: Response, name: string) => cookiesOf(response)[name]?.split(';')[0] ?? '';
const cookieHeader = (response: Response) =>
  Object.values(NAMES)
    .map((name) => `${name}=${cookieValue(response, name)}`)
    .join('; ');

async function reasonOf(response: Response): Promise<string> {
  return ((await response.json()) as { reason: string }).reason;
}

async function signIn(person?: { email: string; password: string }): Promise<Response> {
  const { email, password } = person ?? (await registered(call));
  const response = await send('/session/sign-in', {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ email, password }),
  });
  expect(response.status).toBe(200);
  return response;
}

describe('sign-in', () => {
  test('gives a script two cookies and no token', async () => {
    const person = await registered(call);
    const response = await signIn(person);
    const cookies = cookiesOf(response);
    expect(cookies[NAMES.session]).toMatch(
      /^lks_[\w-]+\.[\w-]{43}; Path=\/; Max-Age=(900|899); HttpOnly; SameSite=Lax; Secure$/,
    );
    expect(cookies[NAMES.refresh]).toMatch(
      /^lkr_[\w-]+; Path=\/session\/; Max-Age=\d+; HttpOnly; SameSite=Lax; Secure$/,
    );
    const body = await response.json();
    expect(body).toEqual({ userId: person.userId, expiresAt: expect.any(String), return: '/' });
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  test('returns a form to the page that it came from', async () => {
    const { email, password } = await registered(call);
    const page = await send('/session/sign-in?return=/orders%3Fid%3D5');
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; form-action 'self'/,
    );
    expect(page.headers.get('x-frame-options')).toBe('DENY');
    expect(await page.text()).toContain('name="return" value="/orders?id=5"');
    const body = new URLSearchParams({ email, password, return: '/orders?id=5' }).toString();
    const response = await send('/session/sign-in', { method: 'POST', headers: form, body });
    expect([response.status, response.headers.get('location')]).toEqual([303, '/orders?id=5']);
    expect(cookieValue(response, NAMES.session)).toMatch(/^lks_/);
  });

  test('shows the form again after a wrong password, without the password', async () => {
    const { email } = await registered(call);
    const odd = `"><script>alert(1)</script>${email}`;
    for (const [typed, shown] of [
      [email, email],
      [odd, '&#62;&#60;script&#62;'],
    ] as const) {
      const body = new URLSearchParams({ email: typed, password: 'not the password', return: '/x' }).toString();
      const response = await send('/session/sign-in', { method: 'POST', headers: form, body });
      const text = await response.text();
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(text).toContain(shown);
      expect(text).not.toMatch(/<script|not the password/);
      expect(response.headers.getSetCookie()).toEqual([]);
    }
  });

  test.each([
    ['another site', { origin: 'https://evil.example' }],
    ['another scheme', { origin: 'http://app.example' }],
    ['no origin', {}],
    ['a sandboxed page', { origin: 'null', 'sec-fetch-site': 'cross-site' }],
    ['a sibling', { 'sec-fetch-site': 'same-site' }],
  ])('rejects a request of %s', async (_, headers) => {
    const { email, password } = await registered(call);
    for (const path of ['sign-in', 'passkey', 'second-step', 'step-up', 'renew', 'sign-out']) {
      const response = await send(`/session/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(headers as Record<string, string>) },
        body: JSON.stringify({ email, password }),
      });
      expect([response.status, await reasonOf(response)]).toEqual([403, 'CROSS_SITE_REQUEST']);
      expect(response.headers.getSetCookie()).toEqual([]);
    }
  });

  test.each(['//evil.example', 'https://evil.example', '/\\evil.example', '/session/renew', 'javascript:alert(1)'])(
    'never returns to %s',
    async (target) => {
      const { email, password } = await registered(call);
      const body = new URLSearchParams({ email, password, return: target }).toString();
      const response = await send('/session/sign-in', { method: 'POST', headers: form, body });
      expect(response.headers.get('location')).toBe('/');
      const renewed = await send(`/session/renew?return=${encodeURIComponent(target)}`);
      expect(renewed.headers.get('location')).toBe('/session/sign-in?return=%2F');
    },
  );

  test.each([
    ['text', 'text/plain', 'x'],
    ['an array', 'application/json', '[]'],
    ['a number', 'application/json', '{"email":5}'],
    ['half an object', 'application/json', '{"email":'],
    ['a prototype', 'application/json', '{"__proto__":"x"}'],
    ['a repeated member', 'application/json', '{"email":"a","email":"b"}'],
    ['a repeated member, spelled otherwise', 'application/json', '{"email":"a","\\u0065mail":"b"}'],
    ['a repeated field', 'application/x-www-form-urlencoded', 'email=a&email=b'],
    ['many fields', 'application/x-www-form-urlencoded', Array.from({ length: 40 }, (_, n) => `a${n}=b`).join('&')],
  ])('rejects %s', async (_, type, body) => {
    const response = await send('/session/sign-in', {
      method: 'POST',
      headers: { origin: ORIGIN, 'content-type': type },
      body,
    });
    expect([response.status, await reasonOf(response)]).toEqual([400, 'REQUEST_MALFORMED']);
  });

  test('rejects a large body, another method and an unknown path', async () => {
    const large = await send('/session/sign-in', { method: 'POST', headers: json, body: 'x'.repeat(9_000) });
    expect(await reasonOf(large)).toBe('MESSAGE_TOO_LARGE');
    const get = await send('/session/second-step');
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST']);
    for (const path of ['second-step', 'passkey']) {
      const page = await send(`/session/${path}`, { headers: { accept: 'text/html' } });
      expect([page.status, page.headers.get('location')]).toEqual([303, '/session/sign-in?return=%2F']);
    }
    const put = await send('/session/sign-in', { method: 'PUT', headers: json, body: '{}' });
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
    expect((await send('/session/constructor')).status).toBe(404);
  });

  test('has the limits and the audit trail of Login', async () => {
    const limited = await startTestApp({
      SESSION_COOKIE_ORIGINS: ORIGIN,
      LIMIT_LOGIN_ACCOUNT: '2/60',
      LIMIT_LOGIN_PAIR: '2/60',
    });
    onTestFinished(() => limited.close());
    const { email } = newPerson();
    const attempt = () =>
      fetch(`${limited.url}/session/sign-in`, {
        method: 'POST',
        headers: json,
        body: JSON.stringify({ email, password: 'wrong pass phrase' }),
      });
    expect([(await attempt()).status, (await attempt()).status]).toEqual([401, 401]);
    const third = await attempt();
    expect([third.status, Number(third.headers.get('retry-after')) > 0]).toEqual([429, true]);
    const failures = "SELECT count(*)::int AS n FROM audit_events WHERE type = 'login_failed'";
    await eventually(async () => (await limited.owner.query(failures)).rows[0].n === 2);
  });

  test('ends the session that the browser had before', async () => {
    const first = await signIn();
    const { email, password } = await registered(call);
    await send('/session/sign-in', {
      method: 'POST',
      headers: { ...json, cookie: cookieHeader(first) },
      body: JSON.stringify({ email, password }),
    });
    expect((await call(auth.refresh, { refreshToken: cookieValue(first, NAMES.refresh) })).reason).toBe(
      'SESSION_ENDED',
    );
  });
});

describe('renewal', () => {
  const renew = (cookie: string) => send('/session/renew', { method: 'POST', headers: { ...json, cookie } });

  test('keeps two tabs signed in that renew at the same time', async () => {
    const cookie = cookieHeader(await signIn());
    const answers = await Promise.all([
      renew(cookie),
      renew(cookie),
      send('/session/renew?return=/a', { headers: { cookie } }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 303]);
    expect(new Set(answers.map((answer) => cookieValue(answer, NAMES.refresh))).size).toBe(1);
    for (const answer of answers) expect((await renew(cookieHeader(answer))).status).toBe(200);
  });

  test('returns a page to where it was, and to the sign-in page without a session', async () => {
    const cookie = cookieHeader(await signIn());
    const renewed = await send('/session/renew?return=/orders', { headers: { cookie } });
    expect([renewed.status, renewed.headers.get('location')]).toEqual([303, '/orders']);
    const anonymous = await send('/session/renew?return=/orders');
    expect([anonymous.status, anonymous.headers.get('location')]).toEqual([303, '/session/sign-in?return=%2Forders']);
    await call(auth.logout, { refreshToken: cookieValue(renewed, NAMES.refresh) });
    const ended = await send('/session/renew?return=/orders', { headers: { cookie: cookieHeader(renewed) } });
    expect([ended.status, ended.headers.get('location')]).toEqual([303, '/session/sign-in?return=%2Forders']);
    expect(cookiesOf(ended)[NAMES.refresh]).toContain('Max-Age=0');
  });

  test('starts from the refresh token of another sign-in', async () => {
    const { refreshToken } = await signedIn(call);
    const started = await send('/session/renew', {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ refreshToken }),
    });
    expect(cookieValue(started, NAMES.session)).toMatch(/^lks_/);
    const invalid = await send('/session/renew', {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ refreshToken: 'x' }),
    });
    expect([invalid.status, await reasonOf(invalid)]).toEqual([401, 'REFRESH_TOKEN_INVALID']);
  });

  test('ignores a repeated cookie', async () => {
    const cookie = `${cookieHeader(await signIn())}; ${NAMES.refresh}=lkr_x`;
    expect((await renew(cookie)).status).toBe(401);
  });
});

describe('sign-out', () => {
  test('ends the session and clears both cookies', async () => {
    const cookie = cookieHeader(await signIn());
    expect(await (await send('/session/sign-out?return=/bye', { headers: { cookie } })).text()).toContain(
      'value="/bye"',
    );
    const body = new URLSearchParams({ return: '/bye' }).toString();
    const response = await send('/session/sign-out', { method: 'POST', headers: { ...form, cookie }, body });
    expect([response.status, response.headers.get('location')]).toEqual([303, '/bye']);
    for (const name of Object.values(NAMES)) expect(cookiesOf(response)[name]).toMatch(/^; .*Max-Age=0/);
    expect((await send('/session/renew', { method: 'POST', headers: { ...json, cookie } })).status).toBe(401);
  });
});

test('the token in the cookie passes as no other kind of token', async () => {
  const value = cookieValue(await signIn(), NAMES.session);
  expect((await call(account.getMe, {}, { bearer: value })).reason).toBe('TOKEN_INVALID');
  expect((await call(auth.verify, { accessToken: value })).reason).toBe('TOKEN_INVALID');
  expect((await call(auth.refresh, { refreshToken: value })).reason).toBe('REFRESH_TOKEN_INVALID');
});

test('without SESSION_COOKIE_ORIGINS there are no sessions with cookies', async () => {
  const off = await startTestApp();
  onTestFinished(() => off.close());
  expect((await fetch(`${off.url}/session/sign-in`)).status).toBe(404);
  expect((await viaFetch(off.url)(auth.refresh, { refreshToken: 'x' })).reason).toBe('REFRESH_TOKEN_INVALID');
});
