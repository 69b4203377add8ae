// The connections of `serve --workers`, on every port and over every protocol.
import http2 from 'node:http2';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { openCertificates } from '../support/certificates.ts';
import { connectionsOf } from '../support/connections-of.ts';
import { eventually } from '../support/eventually.ts';
import { envelope, statusOf as grpcStatusOf, rawConnection, rawStream } from '../support/raw.ts';
import { startGateway } from '../support/reconnecting-gateway.ts';
import { serveInWorkers, spreadOf, startsOf, type Workers, workersOf } from '../support/workers.ts';

vi.setConfig({ testTimeout: 120_000 });

const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.address === '::1');

let mailbox: Mailbox;
let environment: Environment;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox);
});
afterAll(() => mailbox.close());

const start = (overrides: Environment = {}): Promise<Workers> => serveInWorkers('2', { ...environment, ...overrides });

/** An HTTP/2 connection that stays open. */
async function open(url: string): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(url);
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  const stream = session.request({ ':path': '/healthz' }).resume();
  const status = await new Promise((resolve, reject) => {
    stream.on('response', (headers) => resolve(headers[':status']));
    stream.on('error', reject);
  });
  expect(status).toBe(200);
  return session;
}

const statusOf = async (url: string) => (await fetch(`${url}/healthz`, { headers: { connection: 'close' } })).status;

const isEven = (spread: number[]) => Math.max(...spread) - Math.min(...spread) <= 1;

async function untilClosed(server: Workers, left: number, port = server.port): Promise<void> {
  await eventually(() => spreadOf(server, port).reduce((sum, one) => sum + one) === left);
  // The worker reports it to the supervisor at once.
  await sleep(100);
}

test('each port shares its connections evenly, on every address of the host', async () => {
  const [port, adminPort, healthPort] = [await freePort(), await freePort(), await freePort()];
  const server = await start({
    HOST: 'localhost',
    PORT: String(port),
    LISTEN_ADMIN: `localhost:${adminPort}`,
    HEALTH_PORT: String(healthPort),
  });
  const addresses = ['127.0.0.1', ...(hasIPv6 ? ['[::1]'] : [])];
  for (const address of addresses) expect(await statusOf(`http://${address}:${healthPort}`)).toBe(200);
  for (let n = 1; n <= 6; n += 1) {
    const address = addresses[n % addresses.length];
    await open(`http://${address}:${port}`);
    await open(`http://${address}:${adminPort}`);
    expect(spreadOf(server, port)).toSatisfy(isEven);
    expect(spreadOf(server, adminPort)).toSatisfy(isEven);
    expect(await statusOf(`http://${address}:${port}`)).toBe(200);
    await untilClosed(server, n, port);
  }
  // A worker keeps 64 connections of probes.
  const silent = Array.from({ length: 130 }, () => rawConnection(healthPort));
  await eventually(() => spreadOf(server, healthPort).join() === '64,64');
  for (const { socket } of silent) socket.destroy();
  await untilClosed(server, 0, healthPort);
  expect(await statusOf(`http://127.0.0.1:${healthPort}`)).toBe(200);
});

test('connections of a killed worker move to the next one, without a lost call', async () => {
  const server = await start();
  const gateway = startGateway(server.port, 4);
  onTestFinished(gateway.stop);
  await eventually(() => spreadOf(server, server.port).join() === '2,2');
  const [killed, other] = workersOf(server) as [number, number];
  process.kill(killed, 'SIGKILL');
  // The gateway connects again before the new worker listens.
  await eventually(() => connectionsOf(other, server.port) === 4);
  await eventually(() => startsOf(server) === 3, 60_000);
  gateway.lost.length = 0;
  await eventually(() => spreadOf(server, server.port).join() === '2,2', 60_000);
  const { answered } = gateway;
  await eventually(() => gateway.answered > answered + 20);
  await gateway.stop();
  expect(gateway.lost).toEqual([]);
});

test('a worker receives the address of the client by the PROXY protocol, before TLS', async () => {
  const certificates = await openCertificates();
  onTestFinished(() => certificates.remove());
  const { cert, certFile, keyFile } = certificates.make('server', 'DNS:localhost');
  const tls = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
  const server = await start({ ...tls, PROXY_PROTOCOL: 'on', TRUSTED_PROXIES: '127.0.0.1' });
  const login =
    'POST /latchkey.auth.v1.AuthService/Login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}';
  for (let n = 0; n < 4; n += 1) {
    const { socket } = rawConnection(server.port, `PROXY TCP4 203.0.113.${n} 10.0.0.1 4711 443\r\n`);
    const secure = connectTls({ socket, ca: cert, servername: 'localhost' });
    onTestFinished(() => void secure.destroy());
    secure.write(login);
    await eventually(() => server.output().includes(`"client_address":"203.0.113.${n}"`));
  }
  expect(spreadOf(server, server.port)).toEqual([2, 2]);
});

test('a stop answers the calls in flight of every worker, and time limits of requests apply until then', async () => {
  const server = await start({ SHUTDOWN_GRACE_SECONDS: '5' });
  const stalled = rawConnection(server.port, 'GET /healthz HTTP/1.1\r\nhost: ');
  expect(await stalled.closed).toBeLessThan(20_000);
  const sessions = await Promise.all(Array.from({ length: 4 }, () => open(server.url)));
  const calls = sessions.map((session) => rawStream(session, '/latchkey.auth.v1.AuthService/Verify'));
  await sleep(200);
  server.child.kill('SIGTERM');
  await sleep(300);
  for (const { stream } of calls) stream.end(envelope(Buffer.from([10, 1, 120])));
  for (const { closed } of calls) expect(grpcStatusOf(await closed)).toBe('16');
  expect(await server.ended).toBe(0);
  await expect(statusOf(server.url)).rejects.toThrow();
});
