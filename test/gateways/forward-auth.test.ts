// Forward auth: asked directly, and by the real nginx and the real Caddy with the configurations of examples/gateways, in front
// of a service that says what reached it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { startOwned, untilItAnswers } from '../../src/dev/owned-process.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedIn } from '../support/people.ts';
import { findProgram } from '../support/program.ts';
import { rawConnection } from '../support/raw.ts';

let app: TestApp;
let call: Caller;
let person: SignedIn;
let admin: SignedIn;
let expired: string;
let upstream: http.Server;

beforeAll(async () => {
  app = await startTestApp({ AUDIENCE: 'shop' });
  call = viaFetch(app.url);
  expired = (await signedIn(call)).accessToken;
  app.advance(901_000);
  person = await signedIn(call);
  admin = await signedIn(call);
  await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [admin.userId]);
  const { tokens } = (await call(auth.refresh, { refreshToken: admin.refreshToken })).body;
  admin = { ...admin, ...tokens };
  upstream = http.createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  upstream.closeAllConnections();
  upstream.close();
  await app.close();
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const ask = (query: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${app.url}/forward-auth${query}`, { method, headers });

describe('asked directly', () => {
  test.each(['GET', 'HEAD', 'POST', 'DELETE'])('admits whom the token speaks for, by %s', async (method) => {
    const response = await ask('', bearer(person.accessToken), method);
    expect(response.status).toBe(200);
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      'x-auth-user-id': person.userId,
      'x-auth-roles': 'user',
      'cache-control': 'no-store',
    });
    expect(headers['x-auth-session-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(await response.text()).toBe('');
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
    expect([response.status, response.headers.get('x-auth-user-id'), response.headers.get('x-auth-roles')]).toEqual([
      200,
      '',
      '',
    ]);
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

type Gateway = {
  name: string;
  package: string;
  program: string;
  file: string;
  args: (config: string, folder: string) => string[];
  /** What it says when Latchkey does not answer. */
  closed: number;
};

const GATEWAYS: Gateway[] = [
  {
    name: 'nginx',
    package: 'nginx',
    program: 'usr/sbin/nginx',
    file: 'nginx.conf',
    args: (config, folder) => [
      ...['-p', folder, '-c', config, '-e', 'stderr'],
      ...['-g', `daemon off; pid ${folder}/pid; master_process off;`],
    ],
    closed: 500,
  },
  {
    name: 'Caddy',
    package: 'caddy',
    program: 'usr/bin/caddy',
    file: 'Caddyfile',
    args: (config) => ['run', '--config', config, '--adapter', 'caddyfile'],
    closed: 502,
  },
];

describe.each(GATEWAYS)('$name', (gateway) => {
  async function start(latchkeyUrl: string): Promise<string> {
    const found = await findProgram(gateway.package, gateway.program);
    const folder = mkdtempSync(join(tmpdir(), 'latchkey-gateway-'));
    const port = await freePort();
    const scratch = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const temporary = scratch.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ');
    const config = readFileSync(join('examples/gateways', gateway.file), 'utf8')
      .replaceAll('localhost:8080', new URL(latchkeyUrl).host)
      .replaceAll('localhost:9000', `127.0.0.1:${(upstream.address() as AddressInfo).port}`)
      .replace('listen 8000;', `listen 127.0.0.1:${port}; access_log off; ${temporary}`)
      .replace('http://:8000 {', `{\n\tadmin off\n\tauto_https off\n}\nhttp://127.0.0.1:${port} {`);
    const file = join(folder, gateway.file);
    writeFileSync(file, config);
    // Without a home Caddy would keep what it remembers in this folder.
    const home = [`XDG_CONFIG_HOME=${folder}`, `XDG_DATA_HOME=${folder}`];
    const running = startOwned('/usr/bin/env', [...home, found.path, ...gateway.args(file, folder)], {
      stopSignal: 'SIGTERM',
      libraryPath: found.libraryPath,
    });
    onTestFinished(async () => {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    });
    const url = `http://127.0.0.1:${port}`;
    await untilItAnswers(running, gateway.name, async () => void (await fetch(`${url}/public/`)));
    return url;
  }

  test('lets pass who may, as whom the token says, and nobody else', async () => {
    const url = await start(app.url);
    const get = async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(url + path, { headers });
      return {
        status: response.status,
        headers: response.headers,
        seen: response.ok ? ((await response.json()) as Record<string, string>) : {},
      };
    };
    const spoofed = { 'x-auth-user-id': 'root', 'X-Auth-Roles': 'admin', 'x-auth-session-id': 'x' };

    const allowed = await get('/orders', { ...bearer(person.accessToken), ...spoofed });
    expect(allowed.seen).toMatchObject({ 'x-auth-user-id': person.userId, 'x-auth-roles': 'user' });
    expect(allowed.seen['x-auth-session-id']).toMatch(/^[0-9a-f-]{36}$/);

    const missing = await get('/orders', spoofed);
    expect(missing.status).toBe(401);
    expect(missing.headers.get('www-authenticate')).toBe('Bearer realm="latchkey"');
    expect((await get('/orders', bearer(expired))).status).toBe(401);

    expect((await get('/admin/', bearer(person.accessToken))).status).toBe(403);
    expect((await get('/admin/', bearer(admin.accessToken))).seen).toMatchObject({ 'x-auth-user-id': admin.userId });

    const open = await get('/public/', { ...spoofed, authorization: 'Bearer x' });
    expect(open.status).toBe(200);
    expect([open.seen['x-auth-user-id'] ?? '', open.seen['x-auth-roles'] ?? '']).toEqual(['', '']);

    const leaving = await signedIn(call);
    expect((await get('/orders', bearer(leaving.accessToken))).status).toBe(200);
    await call(auth.logout, { refreshToken: leaving.refreshToken });
    await eventually(async () => (await get('/orders', bearer(leaving.accessToken))).status === 401, 1_000);
  }, 120_000);

  test('is closed while Latchkey does not answer', async () => {
    const url = await start(`http://127.0.0.1:${await freePort()}`);
    expect((await fetch(`${url}/orders`, { headers: bearer(person.accessToken) })).status).toBe(gateway.closed);
  }, 60_000);
});
