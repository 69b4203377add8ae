// Mutual TLS: services that use a certificate instead of a key.
import { copyFileSync } from 'node:fs';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { createLatchkey } from '../../src/client/client.ts';
import { readConfig } from '../../src/config/config.ts';
import { identityOf } from '../../src/server/transport/client-certificate.ts';
import { serviceAt } from '../../src/server/transport/peer.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Certificates, openCertificates, type Pair } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson } from '../support/people.ts';

const GATEWAY = 'spiffe://example.org/ns/shop/sa/gateway';
let certificates: Certificates;
let ca: Pair;
let server: Pair;
let app: TestApp;
let url: string;
let gateway: Pair;

beforeAll(async () => {
  certificates = await openCertificates();
  ca = certificates.make('ca', 'DNS:ca');
  server = certificates.make('server', 'DNS:localhost,IP:127.0.0.1', ca);
  gateway = certificates.make('gateway', `URI:${GATEWAY}`, ca);
  app = await startTestApp(tlsOf(), { api: true, worker: false });
  url = `https://localhost:${app.port}`;
});
afterAll(async () => {
  await app.close();
  certificates.remove();
});

function tlsOf(more: Record<string, string> = {}) {
  return {
    TLS_CERT_FILE: server.certFile,
    TLS_KEY_FILE: server.keyFile,
    TLS_CLIENT_CA_FILE: ca.certFile,
    TLS_CLIENT_SERVICES: `${GATEWAY},billing.internal`,
    ...more,
  };
}

const grpc = (pair?: Pair, baseUrl = url) =>
  createGrpcTransport({ baseUrl, nodeOptions: { ca: ca.cert, ...(pair && { cert: pair.cert, key: pair.key }) } });
const batch = (transport: Parameters<typeof createClient>[1], headers = {}) =>
  createClient(VerifierService, transport)
    .batchVerify({ accessTokens: ['x'] }, { headers })
    .then(
      ({ verdicts }) => `${verdicts.length} verdict`,
      (error) => ConnectError.from(error).rawMessage,
    );

describe('a certificate', () => {
  test.each([
    ['with a SPIFFE ID', () => gateway, '1 verdict'],
    ['with a DNS name', () => certificates.make('billing', 'DNS:other.internal,DNS:billing.internal', ca), '1 verdict'],
    ['with the name of no service', () => certificates.make('web', 'DNS:web.internal', ca), 'missing credentials'],
    [
      'with two SPIFFE IDs',
      () => certificates.make('two', `URI:${GATEWAY},URI:spiffe://example.org/x`, ca),
      'missing credentials',
    ],
    ['that is missing', () => undefined, 'missing credentials'],
  ])('%s', async (_, pair, expected) => {
    expect(await batch(grpc(pair()))).toContain(expected);
  });

  test.each([
    ['of another authority', () => certificates.make('alien', `URI:${GATEWAY}`)],
    ['that has expired', () => certificates.expire(gateway, ca)],
  ])('%s ends the connection', async (_, make) => {
    expect(await batch(grpc(make()))).not.toMatch(/verdict|authorization/);
  });

  test('counts over HTTP/1.1 too, and its name is in the log', async () => {
    const nodeOptions = { ca: ca.cert, cert: gateway.cert, key: gateway.key };
    expect(await batch(createConnectTransport({ baseUrl: url, httpVersion: '1.1', nodeOptions }))).toBe('1 verdict');
    const watch = createClient(VerifierService, grpc(gateway)).watch(
      { version: 1 },
      { signal: AbortSignal.timeout(500) },
    );
    await expect(Array.fromAsync(watch)).rejects.toThrow();
    await eventually(() => app.logs.some((line) => line.includes(`"service":"${GATEWAY}"`)));
  });

  test('without a listed name leaves the name in the log', async () => {
    const stranger = certificates.make('stranger', 'DNS:stranger.example', ca);
    expect(await batch(grpc(stranger))).toContain('missing credentials');
    await eventually(() => app.logs.some((line) => line.includes('"certificate_name":"stranger.example"')));
  });

  test('gives access as a service only; a token beside it is that of a user', async () => {
    const person = newPerson();
    const client = createClient(AuthService, grpc());
    const { user } = await client.register(person);
    const { tokens } = await client.login(person);
    const headers = { authorization: `Bearer ${tokens?.accessToken}` };
    expect(await batch(grpc(gateway), headers)).toBe('1 verdict');
    expect((await createClient(AccountService, grpc(gateway)).getMe({}, { headers })).user?.email).toBe(person.email);
    await expect(createClient(AccountService, grpc(gateway)).getMe({})).rejects.toThrow('authorization');
    const subject = { case: 'userId' as const, value: user?.id ?? '' };
    const asked = await createClient(AuthService, grpc(gateway)).checkRole({ subject, role: 'user' });
    expect(asked.allowed).toBe(true);
    await expect(client.checkRole({ subject, role: 'user' })).rejects.toThrow('authorization');
  });

  test('lets a service name the addresses of its users', async () => {
    const headers = { 'x-client-address': '203.0.113.77' };
    await createClient(AuthService, grpc(gateway)).register(newPerson(), { headers });
    await createClient(AuthService, grpc()).register(newPerson(), { headers: { 'x-client-address': '203.0.113.78' } });
    await eventually(() => app.logs.some((line) => line.includes('"client_address":"203.0.113.77"')));
    expect(app.logs.some((line) => line.includes('203.0.113.78'))).toBe(false);
  });

  test('is not that of clients behind a proxy', async () => {
    for (const name of ['x-forwarded-for', 'forwarded']) {
      expect(await batch(grpc(gateway), { [name]: '203.0.113.9' })).toContain('send authorization');
    }
  });

  test('replaces the key of the client library', async () => {
    const latchkey = createLatchkey({ url, tls: { ca: ca.cert, cert: gateway.cert, key: gateway.key } });
    onTestFinished(() => latchkey.close());
    await latchkey.ready();
    await expect(latchkey.verify('x')).rejects.toMatchObject({ reason: 'TOKEN_INVALID' });
  });
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: no session is resumed, even after a renewal', async (maxVersion) => {
  const [certFile, keyFile] = [`${certificates.folder}/renewed.crt`, `${certificates.folder}/renewed.key`];
  copyFileSync(server.certFile, certFile);
  copyFileSync(server.keyFile, keyFile);
  const files = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
  const renewed = await startTestApp(tlsOf(files), { api: true, worker: false });
  onTestFinished(() => renewed.close());
  const options = { port: renewed.port, host: '127.0.0.1', ca: ca.cert, maxVersion, ALPNProtocols: ['http/1.1'] };
  const isResumed = async () => {
    const first = connect({ ...options, cert: gateway.cert, key: gateway.key });
    let session = first.getSession();
    first.on('session', (ticket) => {
      session = ticket;
    });
    await new Promise((resolve) => first.once('secureConnect', resolve));
    await sleep(200);
    session ??= first.getSession();
    first.destroy();
    const second = connect({ ...options, ...(session && { session }) });
    await new Promise((resolve) => second.once('secureConnect', resolve));
    const isReused = second.isSessionReused();
    second.destroy();
    return isReused;
  };
  expect(await isResumed()).toBe(false);
  const next = certificates.make(`renewed-${maxVersion}`, 'DNS:localhost,IP:127.0.0.1', ca);
  const serial = async () => {
    const socket = connect({ ...options, cert: gateway.cert, key: gateway.key });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const before = await serial();
  copyFileSync(next.certFile, certFile);
  copyFileSync(next.keyFile, keyFile);
  await eventually(async () => (await serial()) !== before);
  expect(await isResumed()).toBe(false);
});

test('a certificate counts until it expires, even on a connection that outlives it', () => {
  const until = (milliseconds: number) => ({
    address: '',
    service: { name: 'billing.internal', until: new Date(Date.now() + milliseconds) },
  });
  expect(serviceAt(until(10_000))).toBe('billing.internal');
  expect(serviceAt(until(-1))).toBe(null);
});

test('where certificates are required, a client without one is rejected, and probes have a port of their own', async () => {
  const environment = tlsOf({ TLS_CLIENT_AUTH: 'required', HEALTH_PORT: '0' });
  const strict = await startTestApp(environment, { api: true, worker: false });
  onTestFinished(() => strict.close());
  const asked = (pair?: Pair) =>
    new Promise<number | string>((resolve) => {
      const options = { ca: ca.cert, ...(pair && { cert: pair.cert, key: pair.key }) };
      const request = https.get(`https://localhost:${strict.port}/healthz`, options, (answer) => {
        resolve(answer.resume().statusCode ?? 0);
      });
      request.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    });
  expect(await asked(gateway)).toBe(200);
  expect(await asked()).not.toBe(200);
  expect(await asked(certificates.make('foreign', `URI:${GATEWAY}`))).not.toBe(200);
  for (const path of ['/healthz', '/readyz']) {
    expect((await fetch(`http://127.0.0.1:${strict.healthPort}${path}`)).status).toBe(200);
  }
  expect((await fetch(`http://127.0.0.1:${strict.healthPort}/.well-known/jwks.json`)).status).toBe(404);
});

test('a new authority is loaded while the server runs', async () => {
  const caFile = `${certificates.folder}/changing.crt`;
  copyFileSync(ca.certFile, caFile);
  const changing = await startTestApp(tlsOf({ TLS_CLIENT_CA_FILE: caFile }), { api: true, worker: false });
  onTestFinished(() => changing.close());
  const next = certificates.make('next', 'DNS:next');
  const other = certificates.make('gateway-2', `URI:${GATEWAY}`, next);
  const ask = (pair: Pair) => batch(grpc(pair, `https://localhost:${changing.port}`));
  expect(await ask(other)).not.toBe('1 verdict');
  copyFileSync(next.certFile, caFile);
  await eventually(async () => (await ask(other)) === '1 verdict');
  expect(await ask(gateway)).not.toBe('1 verdict');
});

test.each([
  ['DNS:billing.internal, URI:spiffe://example.org/ns/shop/sa/gateway', GATEWAY],
  ['DNS:BILLING.internal', 'billing.internal'],
  ['IP Address:127.0.0.1, DNS:billing.internal', 'billing.internal'],
  ['email:"a, URI:spiffe://example.org/ns/shop/sa/gateway, b"', null],
  ['DNS:"x, URI:spiffe://example.org/ns/shop/sa/gateway"', null],
  ['URI:"spiffe://example.org/ns/shop/sa/gateway, x"', null],
  ['DNS:"a\\", URI:spiffe://example.org/ns/shop/sa/gateway, DNS:\\"b"', null],
  ['DNS:billing.internal.evil.example', null],
  ['DNS:*.internal', null],
  ['DNS:"billing.internal', null],
  ['', null],
])('the names %s identify %s', (names, expected) => {
  expect(identityOf(names, [GATEWAY, 'billing.internal'])).toBe(expected);
});

test.each([
  ['an authority without a certificate', { TLS_CERT_FILE: '', TLS_KEY_FILE: '' }, 'TLS_CLIENT_CA_FILE requires'],
  ['services without an authority', { TLS_CLIENT_CA_FILE: '' }, 'TLS_CLIENT_SERVICES requires'],
  [
    'required certificates without an authority',
    { TLS_CLIENT_CA_FILE: '', TLS_CLIENT_SERVICES: '', TLS_CLIENT_AUTH: 'required' },
    'TLS_CLIENT_AUTH=required requires',
  ],
  ['an empty certificate', { TLS_CERT_FILE: '/dev/null' }, 'cannot be used'],
  ['an empty key', { TLS_KEY_FILE: '/dev/null' }, 'cannot be used'],
  ['an authority file without a certificate', { TLS_CLIENT_CA_FILE: 'package.json' }, 'cannot be used'],
  ['an invalid service name', { TLS_CLIENT_SERVICES: 'spiffe://example.org/*' }, 'must be SPIFFE IDs'],
])('%s stops the start', (_, more, problem) => {
  expect(() => readConfig({ ...app.environment, ...more })).toThrow(problem);
});
