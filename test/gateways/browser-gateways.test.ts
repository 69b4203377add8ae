// Browser sessions through every real gateway, with the configurations of examples/gateways for them.
import type http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { type BrowserSession, browserSession, NAVIGATE } from '../support/browser-session.ts';
import { portOf, type Received, startEchoService } from '../support/echo-service.ts';
import { addressOfEnvoy } from '../support/envoy.ts';
import { eventually } from '../support/eventually.ts';
import { BROWSER_GATEWAYS, type RunningGateway, startGateway } from '../support/gateway.ts';
import { istioGateway } from '../support/istio.ts';
import { type HostileClient, http1Client, http2Client } from '../support/kept-connection.ts';
import { gatewayCallers, registered, type SignedIn } from '../support/people.ts';
import { sendRequest } from '../support/send-request.ts';
import { webSocket } from '../support/web-socket.ts';
import { cookieCases } from './hostile-cookies.ts';

const HOST = 'app.example';
const ORIGIN = `https://${HOST}`;
const app = await testApp({
  SESSION_COOKIE_ORIGINS: `${ORIGIN},https://shop.example`,
  TRUSTED_PROXIES: '127.0.0.1,::1',
});
const { call } = app;
let service: http.Server;
let browser: BrowserSession;
let person: SignedIn;
let admin: SignedIn;
beforeAll(async () => {
  service = await startEchoService();
  ({ person, admin } = await gatewayCallers(app, call));
  browser = await browserSession(app, ORIGIN);
});
afterAll(() => {
  service.closeAllConnections();
  service.close();
});

const SECRETS = /lks_|lkr_/;

type Route = { path: string; method?: string; lines?: string[]; keepsCookies: boolean };

/** Every kind of route, also those where the gateway does not call Latchkey. */
function routes(): Route[] {
  const token = `authorization: Bearer ${person.accessToken}`;
  const preflight = [`origin: ${ORIGIN}`, 'access-control-request-method: PUT'];
  return [
    { path: '/orders', keepsCookies: true },
    { path: '/orders', lines: [token], keepsCookies: true },
    { path: '/api/', lines: [token], keepsCookies: true },
    { path: '/admin/', lines: [`authorization: Bearer ${admin.accessToken}`], keepsCookies: true },
    { path: '/public/', keepsCookies: true },
    { path: '/static/', keepsCookies: false },
    { path: '/orders', method: 'OPTIONS', lines: preflight, keepsCookies: false },
  ];
}

async function leaks(client: HostileClient, all: Route[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { path, method = 'GET', lines = [], keepsCookies } of all) {
    for (const { lines: cookies, kept } of cookieCases(browser.cookie, browser.refreshCookie)) {
      const { status, body } = await client.send(method, path, [`host: ${HOST}`, ...lines, ...cookies]);
      const note = (text: string) => problems.push(`${method} ${path} ${cookies.join(' | ').slice(0, 150)}: ${text}`);
      if (SECRETS.test(body)) note(`the service received ${/cookie.{200}/i.exec(body)?.[0]}`);
      if (kept === null || !keepsCookies) continue;
      if (status !== 200) note(`status ${status}`);
      else if (cookiesOf(body) !== kept) note(`the service received ${cookiesOf(body)}`);
    }
  }
  return problems;
}

function cookiesOf(body: string): string {
  const { headers } = JSON.parse(body) as Received;
  const values = headers.flatMap(([name, value]) => (name.toLowerCase() === 'cookie' ? [value] : []));
  return values
    .join(';')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '')
    .join('; ');
}

const ISTIO = [
  istioGateway('Istio', ['identity-headers.yaml', 'virtual-service.yaml'], 'extension provider'),
  istioGateway(
    'Istio with an EnvoyFilter',
    ['envoy-filter.yaml', 'identity-headers.yaml', 'virtual-service.yaml'],
    'EnvoyFilter',
  ),
];

test.each(ISTIO)('$name hides the cookies of Latchkey from the service', async (gateway) => {
  const running = await startGateway(gateway, { latchkey: app.port, service: portOf(service) });
  const client = http1Client(running.port);
  const withoutSession = routes().filter(({ path, lines }) => path !== '/static/' && (lines || path === '/public/'));
  const problems = await leaks(client, withoutSession);
  client.close();
  await running.stop();
  expect(problems).toEqual([]);
});

describe.each(BROWSER_GATEWAYS)('$name', (gateway) => {
  let running: RunningGateway;
  beforeAll(async () => {
    running = await startGateway(gateway, { latchkey: app.port, service: portOf(service) });
  });
  afterAll(() => running.stop());
  const send = (path: string, headers: Record<string, string> = {}, method = 'GET', body = '') =>
    sendRequest(`${running.url}${path}`, { method, body, headers: { host: HOST, ...headers } });

  test.each<[string, () => HostileClient]>([
    ['HTTP/1.1', () => http1Client(running.port)],
    ['HTTP/2', () => http2Client(running.http2Url)],
  ])('hides the cookies of Latchkey from the service on every route, over %s', async (_, open) => {
    const client = open();
    const problems = await leaks(client, routes());
    client.close();
    expect(problems).toEqual([]);
  });

  test('accepts no session cookie on a route for tokens alone', async () => {
    expect((await send('/api/', { cookie: browser.cookie })).status).toBe(401);
  });

  test('opens a WebSocket for pages of the application alone, without the cookies of Latchkey', async () => {
    const handshake = (origin: string) =>
      webSocket(running.port, '/orders', [`cookie: theme=dark; ${browser.cookie}`, `origin: ${origin}`]);
    const opened = await handshake(ORIGIN);
    expect(opened.status).toBe(101);
    const first = await opened.next();
    opened.close();
    expect(first).toContain(browser.userId);
    expect(first).toContain('theme=dark');
    expect(first).not.toMatch(SECRETS);
    for (const origin of ['https://evil.example', 'null']) expect((await handshake(origin)).status).toBe(403);
  });

  test('counts the sign-ins of the address of the client', async () => {
    const headers = { ...NAVIGATE, 'content-type': 'application/json', origin: ORIGIN, 'x-forwarded-for': '192.0.2.7' };
    const before = app.logs.length;
    await send('/session/sign-in', headers, 'POST', '{"email":"nobody@people.example","password":"a wrong password"}');
    const isSignIn = ({ method = '' }) => method.includes('sign-in');
    const line = await eventually(() =>
      app.logs
        .slice(before)
        .map((text) => JSON.parse(text))
        .find(isSignIn),
    );
    expect(line.client_address).toBe(gateway.name === 'Envoy' ? addressOfEnvoy() : '127.0.0.1');
  });

  test('signs a browser in, sends a page to the renewal, and signs it out', async () => {
    const page = await send('/orders?id=5', NAVIGATE);
    expect([page.status, page.headers.get('location')]).toEqual([
      302,
      `${ORIGIN}/session/renew?return=%2Forders%3Fid%3D5`,
    ]);
    const renewal = await send('/session/renew?return=%2Forders%3Fid%3D5', NAVIGATE);
    expect(renewal.headers.get('location')).toBe('/session/sign-in?return=%2Forders%3Fid%3D5');
    const script = await send('/orders', { 'sec-fetch-mode': 'cors' });
    expect([script.status, script.headers.get('location')]).toEqual([401, null]);

    const { email, password, userId } = await registered(call);
    const form = new URLSearchParams({ email, password, return: '/orders?id=5' }).toString();
    const type = 'application/x-www-form-urlencoded';
    const foreign = await send(
      '/session/sign-in',
      { 'content-type': type, origin: 'https://evil.example' },
      'POST',
      form,
    );
    expect(foreign.status).toBe(403);
    const signIn = await send('/session/sign-in', { ...NAVIGATE, 'content-type': type, origin: ORIGIN }, 'POST', form);
    expect([signIn.status, signIn.headers.get('location')]).toEqual([303, '/orders?id=5']);
    const cookie = signIn.headers
      .getSetCookie()
      .map((text) => text.split(';')[0])
      .join('; ');

    const orders = await send('/orders?id=5', { ...NAVIGATE, cookie: `theme=dark; ${cookie}` });
    const text = await orders.text();
    expect(text).toContain(userId);
    expect(text).toContain('theme=dark');
    expect(text).not.toMatch(SECRETS);
    expect((await send('/admin/', { ...NAVIGATE, cookie })).status).toBe(403);
    const optional = await (await send('/public/', { cookie })).text();
    expect(optional).toContain(userId);
    expect(optional).not.toMatch(SECRETS);
    expect((await send('/public/')).status).toBe(200);

    expect((await send('/orders', { cookie, origin: ORIGIN }, 'POST', 'x=1')).status).toBe(200);
    for (const origin of ['https://evil.example', 'null', '']) {
      const headers = { cookie, ...(origin !== '' && { origin }), 'x-forwarded-method': 'GET' };
      expect([origin, (await send('/orders', headers, 'POST', 'x=1')).status]).toEqual([origin, 403]);
    }
    expect((await send('/orders', { origin: ORIGIN }, 'POST', 'x=1')).status).toBe(401);
    const renewed = await send('/session/renew?return=/orders', { ...NAVIGATE, cookie });
    expect([renewed.status, renewed.headers.get('location')]).toEqual([303, '/orders']);
    expect(renewed.headers.getSetCookie().map((text) => text.split('=')[0])).toHaveLength(2);
    const out = await send(
      '/session/sign-out',
      { ...NAVIGATE, cookie, 'content-type': type, origin: ORIGIN },
      'POST',
      'return=/',
    );
    expect(out.status).toBe(303);
    await eventually(async () => (await send('/orders', { cookie, 'sec-fetch-mode': 'cors' })).status === 401, 1_000);
  });
});
