// The exporters of the SDK send to a collector in this test, which returns responses like a real collector.
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { auth, viaFetch, viaGrpcJs } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, signedIn } from '../support/people.ts';
import { serve } from '../support/processes.ts';

type Received = { path: string; contentType: string; body: Buffer };
type Attribute = { key: string; value: { stringValue?: string } };
type Span = {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  kind: number;
  attributes: Attribute[];
  status: { code: number };
};

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const SERVER = 2;

let mailbox: Mailbox;
let environment: Environment;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox, {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  });
});
afterAll(() => mailbox.close());

async function collector(isGrpc: boolean): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const onRequest = (request: http.IncomingMessage, response: http.ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const contentType = request.headers['content-type'] ?? '';
      received.push({ path: request.url ?? '', contentType, body: Buffer.concat(chunks) });
      response.setHeader('content-type', contentType);
      if (isGrpc) response.addTrailers({ 'grpc-status': '0' });
      response.end(isGrpc ? Buffer.alloc(5) : '');
    });
  };
  const server = isGrpc ? http2.createServer(onRequest as never) : http.createServer(onRequest);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

async function serveTo(url: string, more: Environment = {}) {
  const server = await serve({ ...environment, OTEL_EXPORTER_OTLP_ENDPOINT: url, ...more });
  onTestFinished(() => void server.child.kill('SIGKILL'));
  return server;
}

function spansOf(received: Received[]): Span[] {
  return received
    .filter(({ path }) => path === '/v1/traces')
    .flatMap(({ body }) => JSON.parse(body.toString()).resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans)
    .flatMap(({ spans }) => spans);
}

const attributesOf = ({ attributes }: Span) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]));

test('a call is a span of its caller, and its waits are child spans, without a secret', async () => {
  const { url, received } = await collector(false);
  const server = await serveTo(url);
  const call = viaFetch(server.url);
  const headers = { traceparent: `00-${TRACE}-${PARENT}-01` };
  const person = newPerson();
  await call(auth.register, person);
  const { body } = await call(auth.login, { email: person.email, password: person.password }, { headers });
  await viaGrpcJs(server.url)(auth.verify, { accessToken: body.tokens.accessToken }, { headers });
  await viaGrpcJs(server.url)(auth.verify, { accessToken: 'x' }, { headers });
  const message = encodeURIComponent(JSON.stringify({ accessToken: body.tokens.accessToken }));
  const getVerify = `${server.url}/latchkey.auth.v1.AuthService/Verify?connect=v1&encoding=json&message=${message}`;
  expect((await fetch(getVerify, { headers })).status).toBe(405);
  const ours = () => spansOf(received).filter(({ traceId }) => traceId === TRACE);
  await eventually(() => ours().filter(({ kind }) => kind === SERVER).length === 4);

  const [login, good, bad] = ours().filter(({ kind }) => kind === SERVER) as [Span, Span, Span];
  expect(login.name).toBe('latchkey.auth.v1.AuthService/Login');
  for (const span of [login, good, bad]) expect(span.parentSpanId).toBe(PARENT);
  expect(attributesOf(login)).toEqual({
    'rpc.system.name': 'connectrpc',
    'rpc.method': 'latchkey.auth.v1.AuthService/Login',
    'rpc.status_code': 'ok',
    'client.address': '127.0.0.1',
    'latchkey.request_id': expect.any(String),
  });
  expect(attributesOf(good)).toMatchObject({ 'rpc.system.name': 'grpc', 'rpc.status_code': 'OK' });
  expect(attributesOf(bad)).toMatchObject({ 'rpc.status_code': 'UNAUTHENTICATED', 'latchkey.reason': 'TOKEN_INVALID' });
  expect(bad.status.code).toBe(0);
  const inside = ours().filter(({ parentSpanId }) => parentSpanId === login.spanId);
  const names = inside.map(({ name }) => name);
  for (const name of ['limiter take', 'hasher verify', 'SELECT', 'INSERT']) expect(names).toContain(name);
  const query = inside.find(({ name }) => name === 'SELECT') as Span;
  expect(attributesOf(query)).toMatchObject({ 'db.system.name': 'postgresql', 'db.query.text': expect.any(String) });
  // The log line of a call leads to its span. Accepted tokens are counted in a line of sums.
  for (const { name, spanId } of [login, bad]) {
    const line = await eventually(() =>
      server
        .output()
        .split('\n')
        .find((text) => text.includes(spanId)),
    );
    expect(JSON.parse(line)).toMatchObject({ method: name, trace_id: TRACE, span_id: spanId });
  }

  const exported = Buffer.concat(received.map(({ body: bytes }) => bytes)).toString();
  for (const secret of [...Object.values(person), ...Object.values<string>(body.tokens), body.user.id]) {
    if (secret !== 'Bearer') expect(exported).not.toContain(secret);
  }
});

test('a call whose caller does not sample is not exported, nor is work outside calls', async () => {
  const { url, received } = await collector(false);
  const server = await serveTo(url);
  await viaFetch(server.url)(
    auth.verify,
    { accessToken: 'x' },
    { headers: { traceparent: `00-${TRACE}-${PARENT}-00` } },
  );
  await viaFetch(server.url)(auth.register, newPerson(), { headers: { traceparent: `00-${TRACE}-${PARENT}-00` } });
  await viaFetch(server.url)(auth.register, newPerson());
  await eventually(() => spansOf(received).some(({ name }) => name === 'latchkey.auth.v1.AuthService/Register'));
  expect(spansOf(received).filter(({ traceId }) => traceId === TRACE)).toEqual([]);
  // For instance the polls of the feed.
  const roots = spansOf(received).filter(({ parentSpanId }) => !parentSpanId);
  expect(new Set(roots.map(({ kind }) => kind))).toEqual(new Set([SERVER]));
});

test.each([
  ['http/protobuf', '/v1/metrics', '/v1/traces', 'application/x-protobuf'],
  ['http/json', '/v1/metrics', '/v1/traces', 'application/json'],
  [
    'grpc',
    '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
    '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    'application/grpc',
  ],
])(
  'metrics and traces arrive by %s, including those of the last moment',
  async (protocol, metrics, traces, contentType) => {
    const { url, received } = await collector(protocol === 'grpc');
    const server = await serveTo(url, { OTEL_EXPORTER_OTLP_PROTOCOL: protocol, OTEL_BSP_SCHEDULE_DELAY: '60000' });
    const of = (path: string) => received.filter((one) => one.path === path && one.contentType === contentType);
    await eventually(() => of(metrics).length > 1);
    await signedIn(viaFetch(server.url));
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    expect(of(traces).length).toBeGreaterThan(0);
    expect(of(metrics).at(-1)?.body.toString('latin1')).toContain('rpc.server.call.duration');
  },
);

test('an unavailable collector causes an occasional log line, fails no call and does not delay the stop', async () => {
  const server = await serveTo('http://127.0.0.1:1');
  for (let n = 0; n < 5; n += 1) await signedIn(viaFetch(server.url));
  await eventually(() => server.output().includes('"msg":"telemetry"'), 20_000);
  expect(server.output().split('"msg":"telemetry"').length - 1).toBeLessThan(5);
  const stoppedAt = performance.now();
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
  expect(performance.now() - stoppedAt).toBeLessThan(8_000);
});
