import { renameSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Certificates, openCertificates } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { newPerson } from '../support/people.ts';
import { rawConnection } from '../support/raw.ts';

let certificates: Certificates;
let folder: string;
let app: TestApp;
let port: number;
let ca: string;
const file = (name: string) => join(folder, name);
/** A certificate of its own authority, with its key. */
const makePair = (name: string) => certificates.make(name, 'DNS:localhost,IP:127.0.0.1');

beforeAll(async () => {
  certificates = await openCertificates();
  ({ folder } = certificates);
  ({ cert: ca } = makePair('first'));
  const files = { TLS_CERT_FILE: file('first.crt'), TLS_KEY_FILE: file('first.key') };
  app = await startTestApp(
    { ...files, MAX_CONNECTIONS_PER_PEER: '30', METRICS_PORT: '0' },
    { api: true, worker: false },
  );
  port = app.port;
});
afterAll(async () => {
  await app.close();
  certificates.remove();
});

test('a metric shows the time until the certificate expires', async () => {
  const seconds = sumOf(await scrape(app.metricsPort), 'latchkey_certificate_remaining_seconds');
  // The certificate is valid for two days.
  expect(seconds).toBeGreaterThan(47 * 3600);
  expect(seconds).toBeLessThanOrEqual(48 * 3600);
});

function shake(options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ca, ...options }, () => resolve(socket));
    socket.once('error', reject);
    onTestFinished(() => void socket.destroy());
  });
}
const commonName = async (): Promise<string | undefined> => {
  const socket = await shake({ rejectUnauthorized: false });
  const { subject } = socket.getPeerCertificate() as PeerCertificate;
  socket.destroy();
  return subject?.CN as string;
};

const nodeOptions = () => ({ ca });
test.each([
  ['gRPC', () => createGrpcTransport({ baseUrl: `https://localhost:${port}`, nodeOptions: nodeOptions() })],
  [
    'gRPC-Web, HTTP/1.1',
    () =>
      createGrpcWebTransport({ baseUrl: `https://localhost:${port}`, httpVersion: '1.1', nodeOptions: nodeOptions() }),
  ],
  [
    'Connect, HTTP/2',
    () =>
      createConnectTransport({ baseUrl: `https://localhost:${port}`, httpVersion: '2', nodeOptions: nodeOptions() }),
  ],
  [
    'Connect, HTTP/1.1',
    () =>
      createConnectTransport({ baseUrl: `https://localhost:${port}`, httpVersion: '1.1', nodeOptions: nodeOptions() }),
  ],
])('registers, signs in and verifies over %s', async (_, transport) => {
  const client = createClient(AuthService, transport());
  const person = newPerson();
  await client.register(person);
  const { tokens } = await client.login(person);
  const { principal } = await client.verify({ accessToken: tokens?.accessToken ?? '' });
  expect(principal?.email).toBe(person.email);
});

test('grpc-js', async () => {
  const client = new grpc.Client(`localhost:${port}`, grpc.credentials.createSsl(Buffer.from(ca)));
  onTestFinished(() => client.close());
  await new Promise<void>((resolve, reject) =>
    client.waitForReady(Date.now() + 5_000, (error) => (error ? reject(error) : resolve())),
  );
});

describe('the handshake', () => {
  test.each([
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http/1.1'],
    [undefined, false],
  ])('with a client that offers %j', async (ALPNProtocols, expected) => {
    const socket = await shake(ALPNProtocols ? { ALPNProtocols } : {});
    expect(socket.alpnProtocol).toBe(expected);
  });

  test('with a client that offers neither ends', async () => {
    await expect(shake({ ALPNProtocols: ['spdy/3'] })).rejects.toThrow();
  });

  test('is TLS 1.2 or newer', async () => {
    expect((await shake({ maxVersion: 'TLSv1.2' })).getProtocol()).toBe('TLSv1.2');
    expect((await shake({})).getProtocol()).toBe('TLSv1.3');
    await expect(
      shake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow();
  });

  test('requires authenticated encryption and forward secrecy', async () => {
    const offer = (ciphers: string) => shake({ maxVersion: 'TLSv1.2', ciphers });
    for (const suite of ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305']) {
      expect((await offer(suite)).getCipher().name).toBe(suite);
    }
    for (const suite of ['ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'AES128-GCM-SHA256']) {
      await expect(offer(suite), suite).rejects.toThrow();
    }
  });

  test('a cleartext connection is closed and harms no other client', async () => {
    for (const bytes of [
      'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      Buffer.alloc(1_000, 0x16),
    ]) {
      const connection = rawConnection(port, bytes);
      expect(await connection.closed).toBeLessThan(12_000);
      expect(connection.received()).not.toContain('HTTP/1.1 200');
    }
    expect(await commonName()).toBe('first');
  }, 40_000);

  test('ends after ten seconds when it is unfinished', async () => {
    const silent = rawConnection(port);
    expect(await silent.closed).toBeGreaterThan(8_000);
    expect(await silent.closed).toBeLessThan(13_000);
  }, 20_000);

  test('counts against the connections of a peer', async () => {
    const sockets = Array.from({ length: 60 }, () => connectTcp(port, '127.0.0.1'));
    let closed = 0;
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.on('close', () => {
        closed += 1;
      });
    }
    await eventually(() => closed >= 30, 5_000);
    for (const socket of sockets) socket.destroy();
    await eventually(async () => (await commonName().catch(() => '')) === 'first', 5_000);
  });
});

test('a changed certificate is loaded, and an invalid one is not', async () => {
  const second = makePair('second');
  const agent = new https.Agent({ keepAlive: true, ca });
  onTestFinished(() => agent.destroy());
  const alive = () =>
    new Promise<number>((resolve, reject) =>
      https
        .get({ port, host: 'localhost', path: '/healthz', agent }, (response) =>
          resolve(response.resume().statusCode ?? 0),
        )
        .on('error', reject),
    );
  expect(await alive()).toBe(200);
  // First a key of another certificate, as between two writes. Then both files.
  writeFileSync(file('first.crt'), second.cert);
  await eventually(() => app.logs.some((line) => line.includes('the certificate was not renewed')), 8_000);
  expect(await commonName()).toBe('first');
  writeFileSync(file('next'), second.key);
  renameSync(file('next'), file('first.key'));
  await eventually(async () => (await commonName()) === 'second', 8_000);
  // Existing connections stay open.
  expect(await alive()).toBe(200);
}, 30_000);

test('a stop does not wait for handshakes', async () => {
  const own = await startTestApp(
    { TLS_CERT_FILE: file('second.crt'), TLS_KEY_FILE: file('second.key') },
    { api: true, worker: false },
  );
  const silent = rawConnection(own.port);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const stoppedAt = performance.now();
  await own.close();
  await silent.closed;
  expect(performance.now() - stoppedAt).toBeLessThan(3_000);
});

test('invalid files are reported at the start', async () => {
  const environment = { ...app.environment, TLS_KEY_FILE: file('second.key') };
  expect(() => readConfig({ ...environment, TLS_CERT_FILE: undefined })).toThrow('must be set together');
  writeFileSync(file('third.crt'), makePair('third').cert);
  for (const TLS_CERT_FILE of [file('nothing'), file('third.crt')]) {
    await expect(
      startTestApp({ TLS_CERT_FILE, TLS_KEY_FILE: file('second.key') }, { api: true, worker: false }),
    ).rejects.toThrow('TLS_CERT_FILE and TLS_KEY_FILE cannot be used: ');
  }
});
