// Real nginx, Caddy and HAProxy send each request to Latchkey before they pass it on.
import { randomUUID } from 'node:crypto';
import type http from 'node:http';
import http2 from 'node:http2';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { GATEWAYS, type Gateway, HAPROXY, portOf, serve, startGateway, startUpstream } from '../support/gateway.ts';
import {
  bearer,
  gatewayCallers,
  newPerson,
  registered,
  type SignedIn,
  signedIn,
  tokenOfService,
} from '../support/people.ts';
import { rawConnection } from '../support/raw.ts';

const app = await testApp({ AUDIENCE: 'shop' });
const { call } = app;
let person: SignedIn;
let admin: SignedIn;
let expired: string;
let upstream: http.Server;
let serviceToken: string;

beforeAll(async () => {
  ({ person, admin, expired } = await gatewayCallers(app, call));
  upstream = await startUpstream();
  serviceToken = await tokenOfService(app, call, 'billing', ['user']);
});
afterAll(async () => {
  upstream.closeAllConnections();
  upstream.close();
});

const start = (gateway: Gateway, latchkeyUrl: string) => startGateway(gateway, latchkeyUrl, portOf(upstream));

/** The status, and the headers and body that reached the service. */
async function send(url: string, head: string[]): Promise<[number, Record<string, string>]> {
  const lines = [...head, 'connection: close', '', ''];
  const connection = rawConnection(Number(new URL(url).port), lines.join('\r\n'));
  await connection.closed;
  const received = connection.received();
  // Some gateways send the body in chunks.
  const seen = /\{".*"\}/.exec(received)?.[0] ?? '{}';
  return [Number(received.split(' ')[1]), JSON.parse(seen)];
}

describe.each(GATEWAYS)('$name', (gateway) => {
  test('passes allowed requests with the identity of the token, and rejects all others', async () => {
    const url = await start(gateway, app.url);
    const get = async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(url + path, { headers });
      return {
        status: response.status,
        headers: response.headers,
        seen: response.ok ? ((await response.json()) as Record<string, string>) : {},
      };
    };
    const spoofed = {
      ...{ 'x-auth-user-id': 'root', 'X-Auth-Roles': 'admin', 'x-auth-session-id': 'x' },
      ...{ 'X-Auth-Service': 'root', 'x-auth-email': 'root@shop.example', 'X-Auth-Email-Verified': 'true' },
    };

    const allowed = await get('/orders', { ...bearer(person.accessToken), ...spoofed });
    expect(allowed.seen).toMatchObject({ 'x-auth-user-id': person.userId, 'x-auth-roles': 'user' });
    expect(allowed.seen['x-auth-session-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(allowed.seen['x-auth-service'] ?? '').toBe('');
    expect(allowed.seen).toMatchObject({ 'x-auth-email': person.email, 'x-auth-email-verified': 'false' });

    const service = await get('/orders', { ...bearer(serviceToken), ...spoofed });
    expect(service.seen).toMatchObject({ 'x-auth-service': 'billing', 'x-auth-roles': 'user' });
    for (const name of ['user-id', 'session-id', 'email', 'email-verified']) {
      expect([name, service.seen[`x-auth-${name}`] ?? '']).toEqual([name, '']);
    }

    const missing = await get('/orders', spoofed);
    expect(missing.status).toBe(401);
    expect(missing.headers.get('www-authenticate')).toBe('Bearer realm="latchkey"');
    expect((await get('/orders', bearer(expired))).status).toBe(401);

    expect((await get('/admin/', bearer(person.accessToken))).status).toBe(403);
    expect((await get('/admin/', bearer(admin.accessToken))).seen).toMatchObject({ 'x-auth-user-id': admin.userId });

    const open = await get('/public/', { ...spoofed, authorization: 'Bearer x' });
    expect(open.status).toBe(200);
    expect(Object.entries(open.seen).filter(([name, value]) => name.startsWith('x-auth-') && value !== '')).toEqual([]);

    const leaving = await signedIn(call);
    expect((await get('/orders', bearer(leaving.accessToken))).status).toBe(200);
    await call(auth.logout, { refreshToken: leaving.refreshToken });
    await eventually(async () => (await get('/orders', bearer(leaving.accessToken))).status === 401, 1_000);
  }, 120_000);

  test('passes an email on unchanged, even with special characters of a configuration', async () => {
    const url = await start(gateway, app.url);
    const email = `{env.path}{http.request.host}$host\${host}%{+q}'|&^*/?=\`#!~@${randomUUID()}.example`;
    const odd = await signedIn(call, await registered(call, { ...newPerson(), email }));
    const response = await fetch(`${url}/orders`, { headers: bearer(odd.accessToken) });
    expect(await response.json()).toMatchObject({ 'x-auth-email': email, 'x-auth-email-verified': 'false' });
  }, 60_000);

  test('ignores disguised identity headers of clients', async () => {
    const url = await start(gateway, app.url);
    const host = `host: ${new URL(url).host}`;
    const mine = `authorization: Bearer ${person.accessToken}`;
    const spoofed = [
      ...['X-AUTH-USER-ID: root', 'x_auth_user_id: root', 'x-auth_roles: admin', 'x_auth-roles: admin'],
      ...['X-Auth-Service: root', 'x_auth_service: root', 'x-auth_email: x', 'X_AUTH_EMAIL_VERIFIED: true'],
    ];
    const names = (seen: Record<string, string>) =>
      Object.keys(seen).filter((name) => /auth[-_]/i.test(name) && seen[name] !== '');
    const open = await send(url, ['GET /public/ HTTP/1.1', host, ...spoofed]);
    expect([open[0], names(open[1])]).toEqual([200, []]);
    const odd = [...spoofed, 'Connection: authorization, X-Auth-User-Id, X-Auth-Roles', 'Upgrade: h2c'];
    const [status, seen] = await send(url, ['GET /orders HTTP/1.1', host, mine, ...odd]);
    expect(status).toBe(200);
    expect(names(seen).toSorted()).toEqual([
      'x-auth-email',
      'x-auth-email-verified',
      'x-auth-roles',
      'x-auth-session-id',
      'x-auth-user-id',
    ]);
    expect(seen).toMatchObject({ 'x-auth-user-id': person.userId, 'x-auth-roles': 'user' });
    expect(seen.upgrade).toBeUndefined();
    for (const path of [
      '/admin',
      '/admin/',
      '/admin/x',
      '/public/../admin/',
      '/public/%2e%2e/admin/',
      '//admin/',
      '/ADMIN/',
      '/%61dmin',
    ]) {
      const [rejected] = await send(url, [`GET ${path} HTTP/1.1`, host, mine]);
      expect([path, rejected >= 400]).toEqual([path, true]);
    }
  }, 60_000);

  test('passes on the body of an allowed request', async () => {
    const url = await start(gateway, app.url);
    const post = (headers: Record<string, string>) =>
      fetch(`${url}/orders`, { method: 'POST', headers, body: 'x'.repeat(300_000) });
    expect(await (await post(bearer(person.accessToken))).json()).toMatchObject({ ':bytes': '300000' });
    expect((await post({})).status).toBe(401);
  }, 60_000);

  test('rejects all requests while Latchkey is unavailable', async () => {
    const url = await start(gateway, `http://127.0.0.1:${await freePort()}`);
    expect((await fetch(`${url}/orders`, { headers: bearer(person.accessToken) })).status).toBe(gateway.closed);
  }, 60_000);
});

// HAProxy has these from the example's script and rules. nginx and Caddy have them built in.
describe('HAProxy alone', () => {
  test('returns the response of Latchkey', async () => {
    const url = await start(HAPROXY, app.url);
    const headers = ['www-authenticate', 'content-type', 'cache-control'];
    const answer = async (asked: Promise<Response>) => {
      const response = await asked;
      return [response.status, await response.text(), ...headers.map((name) => response.headers.get(name))];
    };
    for (const token of ['x', person.accessToken]) {
      const rejection = await answer(fetch(`${app.url}/forward-auth?role=admin`, { headers: bearer(token) }));
      expect(await answer(fetch(`${url}/admin/`, { headers: bearer(token) }))).toEqual(rejection);
    }
  }, 60_000);

  test('removes disguised identity headers of clients', async () => {
    const url = await start(HAPROXY, app.url);
    const mine = `authorization: Bearer ${person.accessToken}`;
    const get = (path: string, ...headers: string[]) => send(url, [`GET ${path} HTTP/1.1`, 'host: shop', ...headers]);

    for (const other of [mine.replace('auth', 'AUTH'), 'Authorization: Bearer x', 'authorization:'])
      expect([other, (await get('/orders', mine, other))[0]]).toEqual([other, 401]);
    expect((await get('/orders', ...Array<string>(90).fill('authorization: x')))[0]).toBe(401);

    const spoofed = ['X-AUTH-USER-ID: root', 'x-auth-user-id: root', 'x_auth_user_id: root', 'X-Auth_Roles: admin'];
    const names = ([, seen]: Awaited<ReturnType<typeof get>>) =>
      Object.keys(seen).filter((name) => /auth[-_]/.test(name));
    expect(names(await get('/public/', ...spoofed))).toEqual([]);
    const odd = [...spoofed, 'Connection: authorization, X-Auth-User-Id', 'Upgrade: h2c'];
    const hopByHop = await get('/orders', mine, ...odd);
    const said = ['user-id', 'session-id', 'email', 'email-verified', 'roles'].map((name) => `x-auth-${name}`);
    expect(names(hopByHop)).toEqual(said);
    expect(hopByHop).toMatchObject([200, { 'x-auth-user-id': person.userId, 'x-auth-roles': 'user' }]);
    expect(hopByHop[1].upgrade).toBeUndefined();
    expect(hopByHop[1].connection ?? '').not.toMatch(/auth/i);

    const absolute = await send(url, ['GET http://shop?/public/ HTTP/1.1', 'host: shop?']);
    expect(absolute).toMatchObject([200, { ':path': '/public/' }]);
    const paths: [number, string, string[]][] = [
      [401, '', ['http://shop/orders', '/PUBLIC/', '/%70ublic/', '/orders?/public/']],
      [403, mine, ['/admin', '/ADMIN/', '/%61dmin/', '/admin%2fx', 'http://shop/admin/', '/admin/?/public/']],
      [400, mine, ['//admin/', '/./admin/', '/admin;/', '/admin%00', 'admin/', 'http://public/orders', '*']],
      [400, '', ['/public/../orders', '/public/%2E./orders', '/public/..%2forders', '/public/..;/', '/public/..\\x']],
    ];
    for (const [status, header, those] of paths) {
      for (const path of those) {
        expect([path, (await get(path, ...(header ? [header] : [])))[0]]).toEqual([path, status]);
      }
    }
  }, 60_000);

  test('authorizes each of many concurrent requests over HTTP/2', async () => {
    const url = await start(HAPROXY, app.url);
    const session = http2.connect(url);
    onTestFinished(() => session.destroy());
    const get = (path: string, headers: Record<string, string>) =>
      new Promise<[number, string]>((resolve, reject) => {
        const stream = session.request({ ':path': path, 'x-auth-roles': 'admin', ...headers });
        let status = 0;
        let body = '';
        stream.on('response', (answer) => {
          status = answer[':status'] ?? 0;
        });
        stream.on('data', (chunk: Buffer) => {
          body += chunk;
        });
        stream.on('end', () => resolve([status, status === 200 ? JSON.parse(body)['x-auth-user-id'] : '']));
        stream.on('error', reject);
      });
    const cases: [string, Record<string, string>, [number, string]][] = [
      ['/orders', bearer(person.accessToken), [200, person.userId]],
      ['/admin/', bearer(admin.accessToken), [200, admin.userId]],
      ['/admin/', bearer(person.accessToken), [403, '']],
      ['/orders', {}, [401, '']],
    ];
    const many = Array.from({ length: 25 }, () => cases).flat();
    expect(await Promise.all(many.map(([path, headers]) => get(path, headers)))).toEqual(many.map(([, , end]) => end));
  }, 60_000);

  test.each<[string, http.RequestListener]>([
    ['hangs', () => {}],
    ['hangs up', (request) => request.socket.destroy()],
    ['fails', (_, response) => response.writeHead(500).end()],
    ['redirects', (_, response) => response.writeHead(302, { location: '/public/' }).end()],
    ['is another program', (_, response) => response.end('hello')],
  ])(
    'rejects all requests while Latchkey %s',
    async (_, listener) => {
      const latchkey = await serve(listener);
      onTestFinished(() => {
        latchkey.closeAllConnections();
        latchkey.close();
      });
      const url = await start(HAPROXY, `http://127.0.0.1:${portOf(latchkey)}`);
      const patient = AbortSignal.timeout(20_000);
      const response = await fetch(`${url}/orders`, { headers: bearer(person.accessToken), signal: patient });
      expect(response.status).toBe(503);
      expect((await fetch(`${url}/public/`)).status).toBe(200);
    },
    60_000,
  );
});
