// The connections of `serve --workers` are spread evenly over the workers, and none is lost.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import http2 from 'node:http2';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { openCertificates } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { envelope, statusOf as grpcStatusOf, rawConnection, rawStream } from '../support/raw.ts';
import { connectionsOf, serveInWorkers, spreadOf, startsOf, type Workers, workersOf } from '../support/workers.ts';

vi.setConfig({ testTimeout: 120_000 });

let mailbox: Mailbox;
let environment: Environment;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox);
});
afterAll(() => mailbox.close());

const start = (workers: number, overrides: Environment = {}): Promise<Workers> =>
  serveInWorkers(String(workers), { ...environment, ...overrides });

/** An HTTP/2 connection that stays open, as that of a gateway. */
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

const openAtOnce = (url: string, count: number) => Promise.all(Array.from({ length: count }, () => open(url)));

/** One request over HTTP/1.1 with a connection of its own. */
const statusOf = async (url: string) => (await fetch(`${url}/healthz`, { headers: { connection: 'close' } })).status;

const isEven = (spread: number[]) => Math.max(...spread) - Math.min(...spread) <= 1;

async function untilClosed(server: Workers, left: number, port = server.port): Promise<void> {
  await eventually(() => spreadOf(server, port).reduce((sum, one) => sum + one) === left);
  // Until the supervisor knows it too.
  await sleep(50);
}

describe('connections that a gateway keeps open', () => {
  test.each([2, 4])('at once, over %d workers', async (workers) => {
    const server = await start(workers);
    for (const count of [4, 2, 8]) {
      const sessions = await openAtOnce(server.url, count);
      const spread = spreadOf(server, server.port);
      expect(spread.reduce((sum, one) => sum + one)).toBe(count);
      expect(spread).toSatisfy(isEven);
      for (const session of sessions) session.destroy();
      await untilClosed(server, 0);
    }
  });

  test('one after the other, with short ones of HTTP/1.1 between them, on two ports', async () => {
    const adminPort = await freePort();
    const server = await start(2, { LISTEN_ADMIN: `127.0.0.1:${adminPort}` });
    for (let n = 1; n <= 6; n += 1) {
      await open(server.url);
      await open(`http://127.0.0.1:${adminPort}`);
      expect(spreadOf(server, server.port)).toSatisfy(isEven);
      expect(spreadOf(server, adminPort)).toSatisfy(isEven);
      expect(await statusOf(server.url)).toBe(200);
      await untilClosed(server, n);
    }
  });

  test('after a worker was killed: it gets the next ones, and older ones move to it without a lost call', async () => {
    const server = await start(2);
    const gateway = startGateway(server.port, 4);
    await eventually(() => spreadOf(server, server.port).join() === '2,2');
    const [killed] = workersOf(server) as [number];
    process.kill(killed, 'SIGKILL');
    // The gateway connects again before the new worker listens.
    await eventually(() => connectionsOf(workersOf(server).find((pid) => pid !== killed) as number, server.port) === 4);
    await eventually(() => startsOf(server) === 3, 60_000);
    const [next, other] = [await open(server.url), await open(server.url)];
    expect(spreadOf(server, server.port)).toEqual([2, 4]);
    for (const session of [next, other]) session.destroy();
    await untilClosed(server, 4);

    gateway.lost.length = 0;
    await eventually(() => spreadOf(server, server.port).join() === '2,2', 60_000);
    const { answered } = gateway;
    await sleep(500);
    await gateway.stop();
    expect(gateway.lost).toEqual([]);
    expect(gateway.answered).toBeGreaterThan(answered);
  });
});

/** Clients of grpc-js with a connection each, which call all the time and connect again at once. */
function startGateway(port: number, connections: number) {
  const gateway = { answered: 0, lost: [] as string[], stop };
  const options = {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 100,
  };
  const clients = Array.from(
    { length: connections },
    () => new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), options),
  );
  let running = true;
  const verify = (client: grpc.Client) =>
    new Promise<void>((resolve) => {
      const body = Buffer.from([10, 1, 120]);
      const pass = (bytes: Buffer) => bytes;
      client.makeUnaryRequest('/latchkey.auth.v1.AuthService/Verify', pass, pass, body, (error) => {
        if (error?.code === grpc.status.UNAUTHENTICATED) gateway.answered += 1;
        else gateway.lost.push(String(error));
        resolve();
      });
    });
  const loops = clients.map(async (client) => {
    while (running) {
      await verify(client);
      await sleep(5);
    }
  });
  async function stop(): Promise<void> {
    running = false;
    await Promise.all(loops);
    for (const client of clients) client.close();
  }
  onTestFinished(stop);
  return gateway;
}

describe('no connection is lost', () => {
  test('when a worker hangs: others serve new ones, and its own when it is killed', async () => {
    const server = await start(2);
    await open(server.url);
    const [busy, idle] = workersOf(server).toSorted(
      (a, b) => connectionsOf(b, server.port) - connectionsOf(a, server.port),
    ) as [number, number];
    process.kill(idle, 'SIGSTOP');
    const held = statusOf(server.url);
    for (let n = 0; n < 6; n += 1) expect(await statusOf(server.url)).toBe(200);
    expect(await Promise.race([held, sleep(100, 'waits')])).toBe('waits');
    process.kill(idle, 'SIGKILL');
    expect(await held).toBe(200);
    expect(workersOf(server)).toContain(busy);
  });

  test('when a worker hangs for a while: it serves its own, and receives connections again', async () => {
    const server = await start(2);
    const [pid] = workersOf(server) as [number];
    process.kill(pid, 'SIGSTOP');
    const held = Array.from({ length: 4 }, () => statusOf(server.url));
    expect(await Promise.any(held)).toBe(200);
    await sleep(1_000);
    process.kill(pid, 'SIGCONT');
    expect(await Promise.all(held)).toEqual([200, 200, 200, 200]);
    await untilClosed(server, 0);
    await openAtOnce(server.url, 4);
    expect(spreadOf(server, server.port)).toEqual([2, 2]);
  });

  test('when a worker has no free file descriptor', async () => {
    const server = await start(2);
    const [pid] = workersOf(server) as [number];
    const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
    let free = 0;
    while (taken.has(free)) free += 1;
    const limitFiles = (count: number) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
    const soft = execFileSync('prlimit', ['--pid', String(pid), '--nofile', '--noheadings', '--output', 'SOFT']);
    limitFiles(free);
    for (let n = 0; n < 4; n += 1) expect(await statusOf(server.url)).toBe(200);
    expect(connectionsOf(pid, server.port)).toBe(0);
    limitFiles(Number(soft));
    await openAtOnce(server.url, 4);
    expect(spreadOf(server, server.port)).toEqual([2, 2]);
  });

  test('when a worker stops and another one takes its place', async () => {
    const server = await start(2);
    const [pid] = workersOf(server) as [number];
    let running = true;
    const statuses = new Set<number | string>();
    const loops = Array.from({ length: 4 }, async () => {
      while (running) statuses.add(await statusOf(server.url).catch(String));
    });
    process.kill(pid, 'SIGTERM');
    await eventually(() => startsOf(server) === 3, 60_000);
    await sleep(300);
    running = false;
    await Promise.all(loops);
    expect([...statuses]).toEqual([200]);
  });
});

describe('every port of workers', () => {
  const hasIPv6 = Object.values(networkInterfaces())
    .flat()
    .some((one) => one?.address === '::1');

  test('listens on every address of a host, and answers probes without a place for more than 64', async () => {
    const healthPort = await freePort();
    const port = await freePort();
    const server = await start(2, { HOST: 'localhost', PORT: String(port), HEALTH_PORT: String(healthPort) });
    for (const address of ['127.0.0.1', ...(hasIPv6 ? ['[::1]'] : [])]) {
      expect([address, await statusOf(`http://${address}:${port}`)]).toEqual([address, 200]);
      expect([address, await statusOf(`http://${address}:${healthPort}`)]).toEqual([address, 200]);
    }
    const silent = Array.from({ length: 130 }, () => rawConnection(healthPort));
    await eventually(() => spreadOf(server, healthPort).join() === '64,64');
    for (const { socket } of silent) socket.destroy();
    await untilClosed(server, 0, healthPort);
    expect(await statusOf(`http://127.0.0.1:${healthPort}`)).toBe(200);
  });

  test('has the address of the client by the PROXY protocol, before TLS', async () => {
    const certificates = await openCertificates();
    onTestFinished(() => certificates.remove());
    const { cert, certFile, keyFile } = certificates.make('server', 'DNS:localhost');
    const tls = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
    const server = await start(2, { ...tls, PROXY_PROTOCOL: 'on', TRUSTED_PROXIES: '127.0.0.1' });
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

  test('ends silent connections in time, and answers a client that has ended its side', async () => {
    const server = await start(2);
    const halfOpen = rawConnection(server.port, 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
    halfOpen.socket.end();
    await halfOpen.closed;
    expect(halfOpen.received()).toContain('200 OK');
    const silent = rawConnection(server.port, 'GET /healthz HTTP/1.1\r\nhost: ');
    expect(await silent.closed).toBeLessThan(15_000);
  });
});

test('a stop answers what it has accepted, on every worker', async () => {
  const server = await start(2, { SHUTDOWN_GRACE_SECONDS: '5' });
  const sessions = await openAtOnce(server.url, 4);
  const calls = sessions.map((session) => rawStream(session, '/latchkey.auth.v1.AuthService/Verify'));
  await sleep(200);
  server.child.kill('SIGTERM');
  await sleep(300);
  for (const { stream } of calls) stream.end(envelope(Buffer.from([10, 1, 120])));
  for (const { closed } of calls) expect(grpcStatusOf(await closed)).toBe('16');
  expect(await server.ended).toBe(0);
  await expect(statusOf(server.url)).rejects.toThrow();
});
