// The proxies of examples/edge publish to the internet what browsers and apps need, and nothing else.
import { mkdirSync, readFileSync } from 'node:fs';
import https from 'node:https';
import { createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authorization } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { type Certificates, openCertificates, type Pair } from '../support/certificates.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { ENVOY_GATEWAY, type Gateway, moved, NGINX, nginxFolders, runConfigured } from '../support/gateway.ts';
import { bearer, newPerson, type SignedIn, signedIn } from '../support/people.ts';

/** Another address of this machine, as the address of a client. */
const CLIENT_ADDRESS = '127.0.0.5';
const ORIGIN = 'https://shop.example';

const app = await testApp({ TRUSTED_PROXIES: '127.0.0.1,::1', CORS_ORIGINS: ORIGIN });
let certificates: Certificates;
let server: Pair;
let partner: Pair;
let person: SignedIn;
beforeAll(async () => {
  certificates = await openCertificates();
  server = certificates.make('server', 'DNS:localhost,IP:127.0.0.1');
  const authority = certificates.make('services', 'DNS:services');
  partner = certificates.make('partner', 'DNS:partner', authority);
  person = await signedIn(app.call);
});
afterAll(() => certificates.remove());

const EDGES: [string, Gateway, string][] = [
  ['nginx', NGINX, 'nginx.conf'],
  ['Envoy', ENVOY_GATEWAY, 'envoy-edge.yaml'],
];

describe.each(EDGES)('%s', (_, program, file) => {
  let [port, partnerPort] = [0, 0];
  let stop = async () => {};
  beforeAll(async () => {
    [port, partnerPort] = [await freePort(), await freePort()];
    const text = (name: string, folder: string) => {
      mkdirSync(`${folder}/tls`, { recursive: true });
      return moved(readFileSync(`examples/edge/${name}`, 'utf8'), { latchkey: app.port })
        .replaceAll(/\/etc\/(nginx|envoy)\/tls/g, certificates.folder)
        .replace('listen 8443', `listen 127.0.0.1:${port}`)
        .replace('listen 8444', `listen 127.0.0.1:${partnerPort}`)
        .replace('address: 0.0.0.0, port_value: 8443', `address: 127.0.0.1, port_value: ${port}`)
        .replace('address: 0.0.0.0, port_value: 8444', `address: 127.0.0.1, port_value: ${partnerPort}`)
        .replace('server_tokens off;', `server_tokens off; ${nginxFolders(folder)}`);
    };
    const probe = async () => void (await ask('/'));
    ({ stop } = await runConfigured({ ...program, files: [file] }, { text, probe }));
  });
  afterAll(() => stop());

  type Sent = { method?: string; headers?: Record<string, string>; body?: string };
  const ask = (path: string, { method = 'GET', headers = {}, body = '' }: Sent = {}) =>
    new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path, method, headers, ca: server.cert, localAddress: CLIENT_ADDRESS };
      const request = https.request(options, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
      request.on('error', reject).end(body);
    });

  const transports = (): [string, Transport][] => {
    const baseUrl = `https://localhost:${port}`;
    const nodeOptions = { ca: server.cert };
    return [
      ['gRPC', createGrpcTransport({ baseUrl, nodeOptions })],
      ['Connect over HTTP/2', createConnectTransport({ baseUrl, nodeOptions, httpVersion: '2' })],
      ['Connect over HTTP/1.1', createConnectTransport({ baseUrl, nodeOptions, httpVersion: '1.1' })],
      ['gRPC-Web over HTTP/2', createGrpcWebTransport({ baseUrl, nodeOptions, httpVersion: '2' })],
      ['gRPC-Web over HTTP/1.1', createGrpcWebTransport({ baseUrl, nodeOptions, httpVersion: '1.1' })],
    ];
  };

  test('serves browsers and apps over every protocol', async () => {
    for (const [name, transport] of transports()) {
      const client = createClient(AuthService, transport);
      const one = newPerson();
      await client.register(one);
      const { tokens } = await client.login(one);
      const headers = bearer(tokens?.accessToken ?? '');
      const { user } = await createClient(AccountService, transport).getMe({}, { headers });
      expect([name, user?.email]).toEqual([name, one.email]);
      await expect(client.login({ ...one, password: 'another pass phrase' })).rejects.toThrow(/unauthenticated/);
      await client.refresh({ refreshToken: tokens?.refreshToken ?? '' });
    }
    expect((await ask('/.well-known/jwks.json')).status).toBe(200);
    const headers = { origin: ORIGIN, 'access-control-request-method': 'POST' };
    const preflight = await ask('/latchkey.auth.v1.AuthService/Login', { method: 'OPTIONS', headers });
    expect(preflight.headers['access-control-allow-origin']).toBe(ORIGIN);
  });

  const INSIDE = [
    ...['/latchkey.auth.v1.AdminService/ListRoles', '/latchkey.auth.v1.VerifierService/BatchVerify'],
    ...['/latchkey.auth.v1.AuthService/Verify', '/latchkey.auth.v1.AuthService/CheckRole'],
    ...['/latchkey.auth.v1.AuthService/IssueServiceToken', '/oauth/token', '/oauth/introspect', '/oauth/revoke'],
    ...['/envoy.service.auth.v3.Authorization/Check', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'],
    ...[
      '/grpc.health.v1.Health/Check',
      '/forward-auth',
      '/forward-auth?access=public',
      '/metrics',
      '/healthz',
      '/readyz',
    ],
    ...[
      '/',
      '/latchkey.auth.v1.AuthService/',
      '/latchkey.auth.v1.AuthService/LoginX',
      '/LATCHKEY.auth.v1.AuthService/Login',
    ],
  ];
  const DETOURS = [
    ...[
      '//latchkey.auth.v1.AdminService/ListRoles',
      '/latchkey.auth.v1.AuthService/../latchkey.auth.v1.AdminService/ListRoles',
    ],
    ...[
      '/latchkey.auth.v1.AuthService/Login/../../forward-auth',
      '/latchkey.auth.v1.AuthService/Login%2f..%2f..%2fmetrics',
    ],
    ...[
      '/latchkey.auth.v1.AccountService/..;/forward-auth',
      '/latchkey.auth.v1.AdminService%2fListRoles',
      '/%66orward-auth',
    ],
    ...[
      '/latchkey.auth.v1.AccountService/GetMe/../../healthz',
      '/.well-known/jwks.json/../../healthz',
      '/forward-auth?/.well-known/jwks.json',
    ],
  ];

  test('keeps everything else inside', async () => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${SERVICE_KEY}` };
    for (const path of [...INSIDE, ...DETOURS]) {
      for (const method of ['GET', 'POST']) {
        const { status, text } = await ask(path, { method, headers, body: method === 'POST' ? '{}' : '' });
        expect([path, status >= 400 && status < 500, text.includes('"reason"')]).toEqual([path, true, false]);
      }
    }
    for (const [, transport] of transports()) {
      const options = { headers: bearer(SERVICE_KEY) };
      await expect(createClient(AdminService, transport).listRoles({}, options)).rejects.toThrow(/unimplemented/);
      await expect(createClient(VerifierService, transport).batchVerify({}, options)).rejects.toThrow(/unimplemented/);
      await expect(createClient(Authorization, transport).check({}, options)).rejects.toThrow(/unimplemented/);
      await expect(createClient(Health, transport).check({})).rejects.toThrow(/unimplemented/);
    }
  });

  test('shows Latchkey the address of the client, which no header of the client changes', async () => {
    const forged = { 'x-forwarded-for': '198.51.100.7', forwarded: 'for=198.51.100.7', 'x-real-ip': '198.51.100.7' };
    const headers = { 'content-type': 'application/json', ...forged };
    const body = JSON.stringify({ email: person.email, password: 'wrong password' });
    const before = app.logs.length;
    expect((await ask('/latchkey.auth.v1.AuthService/Login', { method: 'POST', headers, body })).status).toBe(401);
    const isLogin = ({ method = '' }) => method.endsWith('/Login');
    const line = await eventually(() =>
      app.logs
        .slice(before)
        .map((text) => JSON.parse(text))
        .find(isLogin),
    );
    expect(line.client_address).toBe(CLIENT_ADDRESS);
  });

  test('bounds bodies and headers before Latchkey', async () => {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ email: 'x'.repeat(100_000) });
    const large = await ask('/latchkey.auth.v1.AuthService/Login', { method: 'POST', headers, body });
    expect(large.status).toBe(413);
    const wide = await ask('/latchkey.auth.v1.AuthService/Login', { headers: { cookie: 'x'.repeat(40_000) } });
    expect([400, 431]).toContain(wide.status);
  });

  test('serves Watch to services that show a certificate', async () => {
    const transport = (pair?: Pair) =>
      createGrpcTransport({
        baseUrl: `https://localhost:${partnerPort}`,
        nodeOptions: { ca: server.cert, ...(pair && { cert: pair.cert, key: pair.key }) },
      });
    const headers = bearer(SERVICE_KEY);
    const watching = new AbortController();
    const leaving = await signedIn(app.call);
    const stream = createClient(VerifierService, transport(partner)).watch(
      { version: 1 },
      { headers, signal: watching.signal },
    );
    let changes = 0;
    let messages = 0;
    for await (const message of stream) {
      messages += 1;
      if (messages === 1) await app.call(auth.logout, { refreshToken: leaving.refreshToken });
      else changes += message.changes.length;
      if (changes > 0) break;
    }
    watching.abort();
    await expect(createClient(VerifierService, transport()).batchVerify({}, { headers })).rejects.toThrow();
    const other = createClient(AdminService, transport(partner)).listRoles({}, { headers });
    await expect(other).rejects.toThrow(/unimplemented/);
  });
});
