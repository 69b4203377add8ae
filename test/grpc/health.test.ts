import http2 from 'node:http2';
import { Code, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { expect, onTestFinished, test } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/health/v1/health_pb.ts';
import { createHealth } from '../../src/grpc/health.ts';
import { SERVICE_KEY, startTestApp, testApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { envelope, rawStream, statusOf } from '../support/raw.ts';

const app = await testApp();

const OURS = [
  'latchkey.auth.v1.AuthService',
  'latchkey.auth.v1.AccountService',
  'latchkey.auth.v1.VerifierService',
  'latchkey.auth.v1.AdminService',
  'envoy.service.auth.v3.Authorization',
  'liveness',
  'readiness',
];
const clientOf = (url: string) => createClient(Health, createGrpcTransport({ baseUrl: url }));

test.each([
  ['gRPC', () => createGrpcTransport({ baseUrl: app.url })],
  ['gRPC-Web', () => createGrpcWebTransport({ baseUrl: app.url, httpVersion: '1.1' })],
  ['Connect', () => createConnectTransport({ baseUrl: app.url, httpVersion: '1.1', useBinaryFormat: false })],
])('the server and each of its services are SERVING, over %s', async (_, transport) => {
  const client = createClient(Health, transport());
  for (const service of ['', ...OURS]) expect((await client.check({ service })).status).toBe(Status.SERVING);
  const { statuses } = await client.list({});
  expect(Object.keys(statuses).toSorted()).toEqual(['', ...OURS].toSorted());
  expect(Object.values(statuses).every(({ status }) => status === Status.SERVING)).toBe(true);
  for await (const { status } of client.watch({ service: '' })) {
    expect(status).toBe(Status.SERVING);
    break;
  }
});

test('Check of an unknown service is NOT_FOUND, and Watch reports SERVICE_UNKNOWN', async () => {
  const client = clientOf(app.url);
  const error = await client.check({ service: 'latchkey.auth.v1.Nothing' }).catch((failure) => failure);
  expect(error.code).toBe(Code.NotFound);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: 'SERVICE_NOT_FOUND', domain: 'latchkey.dev' }]);
  const abort = new AbortController();
  let isOpen = true;
  const received: Status[] = [];
  const watching = (async () => {
    for await (const { status } of client.watch({ service: 'latchkey.auth.v1.Nothing' }, { signal: abort.signal }))
      received.push(status);
  })().catch(() => {
    isOpen = false;
  });
  await eventually(() => received.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect({ received, isOpen }).toEqual({ received: [Status.SERVICE_UNKNOWN], isOpen: true });
  abort.abort();
  await watching;
});

test('an idle watcher stays connected, over gRPC and over gRPC-Web', async () => {
  const transports = {
    gRPC: createGrpcTransport({ baseUrl: app.url }),
    'gRPC-Web, HTTP/1.1': createGrpcWebTransport({ baseUrl: app.url, httpVersion: '1.1' }),
  };
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const watchers = Object.entries(transports).map(([name, transport]) => {
    const watcher = { name, received: [] as Status[], ended: '' };
    (async () => {
      const watching = createClient(Health, transport).watch({ service: '' }, { signal: abort.signal });
      for await (const { status } of watching) watcher.received.push(status);
      watcher.ended = 'ended';
    })().catch((error) => {
      watcher.ended = String(error);
    });
    return watcher;
  });
  await new Promise((resolve) => setTimeout(resolve, 22_000));
  const whole = { received: [Status.SERVING], ended: '' };
  expect(watchers).toEqual(Object.keys(transports).map((name) => ({ name, ...whole })));
}, 40_000);

test.each([
  ['grpc.health.v1.Health/Watch', {}, new Uint8Array()],
  // `version` is 1.
  ['latchkey.auth.v1.VerifierService/Watch', { authorization: `Bearer ${SERVICE_KEY}` }, new Uint8Array([0x10, 1])],
])('%s past the deadline of its caller returns an error', async (method, headers, message) => {
  const session = http2.connect(app.url);
  onTestFinished(() => session.destroy());
  const { stream, closed } = rawStream(session, `/${method}`, { ...headers, 'grpc-timeout': '300m' });
  stream.end(envelope(message));
  expect((await closed).trailers['grpc-status']).toBe('4');
  await eventually(() => app.logs.some((line) => line.includes(`"${method}","code":"deadline_exceeded"`)));
});

test('an anonymous client that holds all streams loses one for each stream of another client', async () => {
  const own = await startTestApp({ TRUSTED_PROXIES: '127.0.0.1' }, { api: true, worker: false });
  onTestFinished(() => own.close());
  const sessions = Array.from({ length: 11 }, () => http2.connect(own.url));
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
  });
  const open = (n: number, address: string) => {
    const headers = { 'x-forwarded-for': address };
    const session = sessions[n % 11] as http2.ClientHttp2Session;
    const { stream, closed } = rawStream(session, '/grpc.health.v1.Health/Watch', headers);
    stream.end(envelope(new Uint8Array()));
    return { stream, closed, opened: new Promise((resolve) => stream.once('data', resolve)) };
  };
  const streams = Array.from({ length: 1_000 }, (_, n) => open(n, '203.0.113.1'));
  await Promise.all(streams.map(({ opened }) => opened));
  const ended: string[] = [];
  for (const { closed } of streams) void closed.then((answer) => ended.push(statusOf(answer)));
  const others = Array.from({ length: 20 }, (_, n) => open(n, `198.51.${n}.7`));
  await Promise.all(others.map(({ opened }) => opened));
  await eventually(() => ended.length === 20);
  expect(new Set(ended)).toEqual(new Set(['14']));
  expect(others.filter(({ stream }) => stream.closed)).toHaveLength(0);
  expect((await clientOf(own.url).check({})).status).toBe(Status.SERVING);
  for (const { stream } of [...streams, ...others]) stream.close();
}, 60_000);

test('services are NOT_SERVING without Postgres and SERVING with it again, whether or not Redis is available', async () => {
  const other = await startTestApp({ REDIS_URL: 'redis://127.0.0.1:1' }, { api: true, worker: false });
  onTestFinished(() => other.close());
  const client = clientOf(other.url);
  const check = async () => (await client.check({})).status;
  expect(await check()).toBe(Status.SERVING);
  const received: Status[] = [];
  const abort = new AbortController();
  const watching = (async () => {
    for await (const { status } of client.watch({}, { signal: abort.signal })) received.push(status);
  })().catch(() => {});
  await eventually(() => received.length === 1);
  await other.owner.query('ALTER TABLE schema_migrations RENAME TO away');
  await eventually(() => received.length === 2, 5_000);
  expect(await check()).toBe(Status.NOT_SERVING);
  await other.owner.query('ALTER TABLE away RENAME TO schema_migrations');
  await eventually(() => received.length === 3, 5_000);
  expect(received).toEqual([Status.SERVING, Status.NOT_SERVING, Status.SERVING]);
  abort.abort();
  await watching;
});

test('watchers receive a stop at once, and the end of the stop ends their streams', async () => {
  const other = await startTestApp({}, { api: true, worker: false });
  const received: Status[] = [];
  const watching = (async () => {
    for await (const { status } of clientOf(other.url).watch({})) received.push(status);
  })();
  await eventually(() => received.length === 1);
  const stoppedAt = performance.now();
  await other.close();
  await watching;
  expect(received).toEqual([Status.SERVING, Status.NOT_SERVING]);
  expect(performance.now() - stoppedAt).toBeLessThan(3_000);
});

test('during a stop, calls and streams are answered: not ready, and alive', async () => {
  const other = await startTestApp({}, { api: true, worker: false });
  const client = clientOf(other.url);
  const watch = (service: string) => {
    const watcher = { received: [] as Status[], isOpen: true };
    (async () => {
      for await (const { status } of client.watch({ service })) watcher.received.push(status);
    })()
      .catch(() => {})
      .finally(() => {
        watcher.isOpen = false;
      });
    return watcher;
  };
  const watchers = ['', 'latchkey.auth.v1.AuthService', 'readiness', 'liveness'].map(watch);
  await eventually(() => watchers.every(({ received }) => received.length === 1));
  other.stopServing();
  await eventually(() => watchers.filter(({ received }) => received.length === 2).length === 3);
  // Longer than the time to the next check.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const changed = { received: [Status.SERVING, Status.NOT_SERVING], isOpen: true };
  expect(watchers).toEqual([changed, changed, changed, { received: [Status.SERVING], isOpen: true }]);
  const check = async (service: string) => (await client.check({ service })).status;
  expect(await Promise.all(['', 'readiness', 'liveness'].map(check))).toEqual([
    Status.NOT_SERVING,
    Status.NOT_SERVING,
    Status.SERVING,
  ]);
  expect(await (await fetch(`${other.url}/readyz`)).json()).toEqual({
    status: 'not ready',
    problems: ['stopping'],
    degraded: [],
  });
  expect((await fetch(`${other.url}/healthz`)).status).toBe(200);
  await other.close();
  await eventually(() => watchers.every(({ isOpen }) => !isOpen));
});

test('a slow check does not report a server as healthy that has stopped in the meantime', async () => {
  const slow = Promise.withResolvers<boolean>();
  const health = createHealth({ services: [], alwaysServing: [], isServing: () => slow.promise });
  // biome-ignore lint/suspicious/noExplicitAny: the implementation, as a router gets it
  let implementation: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  health.routes({ service: (_: unknown, given: unknown) => (implementation = given) } as any);
  const answer = implementation.check({ service: '' });
  health.stop();
  slow.resolve(true);
  expect(await answer).toEqual({ status: Status.NOT_SERVING });
});
