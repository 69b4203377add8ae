// Real nginx, Caddy, HAProxy, Envoy and Traefik send each request to Latchkey before they forward it.
import { randomUUID } from 'node:crypto';
import type http from 'node:http';
import http2 from 'node:http2';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { portOf, type Received, serve, startEchoService } from '../support/echo-service.ts';
import { eventually } from '../support/eventually.ts';
import { GATEWAYS, type RunningGateway, startGateway } from '../support/gateway.ts';
import {
  bearer,
  gatewayCallers,
  newPerson,
  registered,
  type SignedIn,
  signedIn,
  tokenOfService,
} from '../support/people.ts';
import { webSocket } from '../support/web-socket.ts';
import { IDENTITY_NAMES } from './hostile-requests.ts';

const UPLOAD_BYTES = 3_000_000;

const app = await testApp({ AUDIENCE: 'shop' });
const { call } = app;
let person: SignedIn;
let admin: SignedIn;
let expired: string;
let service: http.Server;
let serviceToken: string;

beforeAll(async () => {
  ({ person, admin, expired } = await gatewayCallers(app, call));
  service = await startEchoService();
  serviceToken = await tokenOfService(app, call, 'billing', ['user']);
});
afterAll(() => {
  service.closeAllConnections();
  service.close();
});

describe.each(GATEWAYS)('$name', (gateway) => {
  let running: RunningGateway;
  beforeAll(async () => {
    running = await startGateway(gateway, { latchkey: app.port, service: portOf(service) });
  });
  afterAll(() => running.stop());

  const get = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const response = await fetch(running.url + path, { headers, method });
    const { status } = response;
    return { status, headers: response.headers, seen: response.ok ? seenBy((await response.json()) as Received) : {} };
  };
  const seenBy = ({ headers }: Received) =>
    Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])) as Record<string, string>;

  test('forwards allowed requests with the identity of the token', async () => {
    const allowed = await get('/orders', bearer(person.accessToken));
    expect(allowed.seen).toMatchObject({ 'x-auth-user-id': person.userId, 'x-auth-roles': 'user' });
    expect(allowed.seen['x-auth-session-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(allowed.seen['x-auth-service'] ?? '').toBe('');
    expect(allowed.seen).toMatchObject({ 'x-auth-email': person.email, 'x-auth-email-verified': 'false' });
    const { acr, auth_time: authTime } = decodeJwt(person.accessToken);
    expect(allowed.seen).toMatchObject({ 'x-auth-acr': acr, 'x-auth-time': String(authTime) });

    const { seen } = await get('/orders', bearer(serviceToken));
    expect(seen).toMatchObject({ 'x-auth-service': 'billing', 'x-auth-roles': 'user' });
    for (const name of ['user-id', 'session-id', 'email', 'email-verified', 'acr', 'time']) {
      expect([name, seen[`x-auth-${name}`] ?? '']).toEqual([name, '']);
    }
    expect((await get('/admin/', bearer(admin.accessToken))).seen).toMatchObject({ 'x-auth-user-id': admin.userId });
    expect((await get('/public/')).status).toBe(200);
  });

  test('rejects all other requests with the answer of Latchkey', async () => {
    const answer = async (url: string, headers: Record<string, string>) => {
      const response = await fetch(url, { headers });
      const [challenge, type, cache] = ['www-authenticate', 'content-type', 'cache-control'].map((name) =>
        response.headers.get(name),
      );
      return { status: response.status, challenge, type, cache, body: await response.text() };
    };
    const cases: [number, string, string, Record<string, string>][] = [
      [401, '/orders', '', {}],
      [401, '/orders', '', bearer('x')],
      [401, '/orders', '', bearer(expired)],
      [401, '/admin/', '?role=admin', {}],
      [403, '/admin/', '?role=admin', bearer(person.accessToken)],
    ];
    for (const [status, path, query, headers] of cases) {
      const ofLatchkey = await answer(`${app.url}/forward-auth${query}`, headers);
      const ofGateway = await answer(running.url + path, headers);
      const expected = { status, challenge: ofLatchkey.challenge };
      // nginx has a page of its own.
      expect(ofGateway).toMatchObject(gateway.name === 'nginx' ? expected : { ...ofLatchkey, ...expected });
    }
  });

  test('rejects a session that has ended within a second', async () => {
    const leaving = await signedIn(call);
    expect((await get('/orders', bearer(leaving.accessToken))).status).toBe(200);
    await call(auth.logout, { refreshToken: leaving.refreshToken });
    await eventually(async () => (await get('/orders', bearer(leaving.accessToken))).status === 401, 1_000);
  });

  test('forwards an email unchanged, even with special characters of a configuration', async () => {
    const email = `{env.path}{http.request.host}$host\${host}%{+q}'|&^*/?=\`#!~@${randomUUID()}.example`;
    const odd = await signedIn(call, await registered(call, { ...newPerson(), email }));
    const { seen } = await get('/orders', bearer(odd.accessToken));
    expect(seen).toMatchObject({ 'x-auth-email': email, 'x-auth-email-verified': 'false' });
  });

  test('streams an upload of any size to the service', async () => {
    const post = (headers: Record<string, string>) =>
      fetch(`${running.url}/orders`, { method: 'POST', headers, body: 'x'.repeat(UPLOAD_BYTES) });
    expect(await (await post(bearer(person.accessToken))).json()).toMatchObject({ bytes: UPLOAD_BYTES });
    const rejected = await post({}).catch(() => null);
    // The gateway may close the connection before it has received the whole body.
    if (rejected) expect(rejected.status).toBe(401);
  });

  test('does not send large headers of clients to Latchkey', async () => {
    const large = Object.fromEntries(Array.from({ length: 3 }, (_, n) => [`x-large-${n}`, 'x'.repeat(7_000)]));
    const { status, seen } = await get('/orders', { ...large, ...bearer(person.accessToken) });
    // HAProxy accepts 16 KiB of headers by default.
    if (gateway.name === 'HAProxy') expect(status).toBe(400);
    else expect([status, seen['x-large-2']?.length]).toEqual([200, 7_000]);
  });

  test('forwards CORS preflights without a token, and no other request', async () => {
    const preflight = { origin: 'https://shop.example', 'access-control-request-method': 'PUT' };
    for (const path of ['/orders', '/admin/']) {
      const { status, seen } = await get(path, { ...preflight, ...bearer(admin.accessToken) }, 'OPTIONS');
      expect([path, status, seen['x-auth-user-id'] ?? '']).toEqual([path, 200, '']);
      expect((await get(path, { origin: 'https://shop.example' }, 'OPTIONS')).status).toBe(401);
      expect((await get(path, { 'access-control-request-method': 'PUT' }, 'OPTIONS')).status).toBe(401);
      expect((await get(path, preflight, 'GET')).status).toBe(401);
      expect((await get(path, preflight, 'PUT')).status).toBe(401);
    }
  });

  test('checks the token of a WebSocket at its handshake', async () => {
    const opened = await webSocket(running.port, '/orders', [`authorization: Bearer ${person.accessToken}`]);
    onTestFinished(() => opened.close());
    expect(opened.status).toBe(101);
    const first = JSON.parse(await opened.next()) as Received;
    expect(seenBy(first)).toMatchObject({ 'x-auth-user-id': person.userId, 'x-auth-roles': 'user' });
    opened.send('hello');
    expect(await opened.next()).toBe('hello');

    expect((await webSocket(running.port, '/orders', [])).status).toBe(401);
    expect((await webSocket(running.port, '/admin/', [`authorization: Bearer ${person.accessToken}`])).status).toBe(
      403,
    );
    const forged = ['connection: x-auth-user-id', 'x_auth_roles: admin', `authorization: Bearer ${person.accessToken}`];
    const disguised = await webSocket(running.port, '/orders', forged);
    onTestFinished(() => disguised.close());
    const identity = seenBy(JSON.parse(await disguised.next()) as Received);
    expect(identity).toMatchObject({ 'x-auth-user-id': person.userId, 'x-auth-roles': 'user' });
    expect(identity).not.toHaveProperty('x_auth_roles');
  });

  test('authorizes each of many concurrent requests over HTTP/2', async () => {
    const session = http2.connect(running.http2Url);
    onTestFinished(() => session.destroy());
    const ask = (path: string, headers: Record<string, string>) =>
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
        stream.on('end', () =>
          resolve([status, status === 200 ? (seenBy(JSON.parse(body))['x-auth-user-id'] ?? '') : '']),
        );
        stream.on('error', reject);
      });
    const cases: [string, Record<string, string>, [number, string]][] = [
      ['/orders', bearer(person.accessToken), [200, person.userId]],
      ['/admin/', bearer(admin.accessToken), [200, admin.userId]],
      ['/admin/', bearer(person.accessToken), [403, '']],
      ['/orders', {}, [401, '']],
    ];
    const many = Array.from({ length: 25 }, () => cases).flat();
    expect(await Promise.all(many.map(([path, headers]) => ask(path, headers)))).toEqual(many.map(([, , end]) => end));
  });
});

// Envoy sends attributes in place of headers.
test.each(GATEWAYS.filter(({ name }) => name !== 'Envoy'))(
  '$name sends Latchkey the credentials and a description of the request alone',
  async (gateway) => {
    const anonymous = Object.fromEntries(IDENTITY_NAMES.map((name) => [name, '']));
    let asked: Record<string, unknown> = {};
    const latchkey = await serve((request, response) => {
      asked = request.headers;
      response.writeHead(200, { ...anonymous, 'x-auth-user-id': 'u' }).end();
    });
    const running = await startGateway(gateway, { latchkey: portOf(latchkey), service: portOf(service) });
    onTestFinished(async () => {
      await running.stop();
      latchkey.closeAllConnections();
      latchkey.close();
    });
    const forged = ['method', 'host', 'uri', 'for', 'proto'].map((name) => [`x-forwarded-${name}`, 'forged']);
    const headers = { ...Object.fromEntries(forged), cookie: 'a=b', 'x-original-uri': '/public/', ...bearer('token') };
    const response = await fetch(`${running.url}/orders?x=1`, { method: 'DELETE', headers });
    expect(response.status).toBe(200);
    expect(asked.authorization).toBe('Bearer token');
    // Traefik sends its checks through itself.
    expect(asked['x-forwarded-for']).toMatch(/^127\.0\.0\.1(, 127\.0\.0\.1)?$/);
    expect(asked).toMatchObject({ 'x-forwarded-method': 'DELETE', 'x-forwarded-uri': '/orders?x=1' });
    expect(String(asked['x-forwarded-host'])).toMatch(/^127\.0\.0\.1(:\d+)?$/);
    for (const name of ['cookie', 'x-original-uri', 'content-type']) expect(asked[name] ?? '').toBe('');
    expect(JSON.stringify(asked)).not.toContain('forged');
  },
);
