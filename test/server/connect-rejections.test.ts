// Rejections by Connect itself have a reason too, and repeat nothing of the request.
import http2 from 'node:http2';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp, testApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { envelope, rawStream } from '../support/raw.ts';

const app = await testApp({}, { api: true, worker: false });
const LOGIN = '/latchkey.auth.v1.AuthService/Login';
const SECRET = 'hunter2-hunter2';

describe('Connect', () => {
  test.each([
    ['invalid JSON', `{"password": ${SECRET}}`, {}, 400, 'REQUEST_MALFORMED'],
    ['JSON of other types', `{"password": ["${SECRET}"]}`, {}, 400, 'REQUEST_MALFORMED'],
    ['a message too large', JSON.stringify({ password: SECRET.repeat(6_000) }), {}, 429, 'MESSAGE_TOO_LARGE'],
    ['an unknown compression', SECRET, { 'content-encoding': 'snappy' }, 501, 'UNIMPLEMENTED'],
    ['an invalid timeout', '{}', { 'connect-timeout-ms': SECRET }, 400, 'REQUEST_MALFORMED'],
  ])('%s', async (_, body, headers, status, reason) => {
    const response = await fetch(`${app.url}${LOGIN}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'refused-1', ...headers },
      body,
    });
    const text = await response.text();
    expect(response.status).toBe(status);
    expect(response.headers.get('x-request-id')).toBe('refused-1');
    const info = Buffer.from(JSON.parse(text).details[0].value, 'base64').toString('latin1');
    expect(info).toContain(reason);
    expect(info).toContain('refused-1');
    expect(text).not.toContain('hunter2');
  });
});

describe('gRPC', () => {
  test.each([
    ['invalid protobuf', envelope(Buffer.from([0x12, 0xff, 0xff, 0xff, 0x7f])), '3', 'REQUEST_MALFORMED'],
    ['invalid UTF-8', envelope(Buffer.from([0x0a, 2, 0xff, 0xfe])), '3', 'REQUEST_MALFORMED'],
    ['no message', Buffer.alloc(0), '12', 'UNIMPLEMENTED'],
    ['two messages', Buffer.concat([envelope(Buffer.alloc(0)), envelope(Buffer.alloc(0))]), '12', 'UNIMPLEMENTED'],
    ['half a message', envelope(Buffer.alloc(3), 0, 30), '3', 'REQUEST_MALFORMED'],
    ['a message too large', envelope(Buffer.alloc(70_000)), '8', 'MESSAGE_TOO_LARGE'],
  ])('%s', async (_, bytes, status, reason) => {
    const session = http2.connect(app.url);
    onTestFinished(() => session.destroy());
    const { stream, closed } = rawStream(session, LOGIN);
    stream.end(bytes);
    const { headers, trailers } = await closed;
    const answer = { ...headers, ...trailers };
    expect(answer['grpc-status']).toBe(status);
    const details = Buffer.from(String(answer['grpc-status-details-bin']), 'base64').toString('latin1');
    expect(details).toContain(reason);
  });
});

test('a gRPC method that does not exist', async () => {
  const session = http2.connect(app.url);
  onTestFinished(() => session.destroy());
  const { stream, closed } = rawStream(session, '/latchkey.auth.v1.NoService/Nothing');
  stream.end(envelope(Buffer.alloc(0)));
  const { headers } = await closed;
  expect(headers).toMatchObject({ ':status': 200, 'grpc-status': '12', 'content-type': 'application/grpc' });
  const details = Buffer.from(String(headers['grpc-status-details-bin']), 'base64').toString('latin1');
  expect(details).toContain('UNIMPLEMENTED');
  await eventually(() => app.logs.some((line) => line.includes('"code":"unimplemented","reason":"UNIMPLEMENTED"')));
});

test('gRPC-Web', async () => {
  const response = await fetch(`${app.url}${LOGIN}`, {
    method: 'POST',
    headers: { 'content-type': 'application/grpc-web+proto' },
    body: envelope(Buffer.from([0xff, 0xff])),
  });
  const body = Buffer.from(await response.arrayBuffer());
  expect(body[0]).toBe(0x80);
  const trailer = body.subarray(5).toString();
  expect(trailer).toContain('grpc-status: 3');
  expect(trailer).toContain('grpc-status-details-bin: ');
});

test('a rejected message of a disconnected client does not delay a stop', async () => {
  const other = await startTestApp({}, { api: true, worker: false });
  const session = http2.connect(other.url);
  const { stream, closed } = rawStream(session, LOGIN);
  stream.end(envelope(Buffer.alloc(70_000)));
  await closed;
  session.destroy();
  const stoppedAt = performance.now();
  await other.close();
  expect(performance.now() - stoppedAt).toBeLessThan(3_000);
});

test('each rejection has a log line with the name of its method', () => {
  // A busy machine adds lines about Redis and clocks.
  const lines = app.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'call');
  expect(lines.length).toBeGreaterThan(10);
  for (const line of lines) {
    expect(['latchkey.auth.v1.AuthService/Login', '']).toContain(line.method);
    expect(line.code).toMatch(/^[a-z_]+$/);
  }
  expect(lines.map(({ reason }) => reason)).toContain('MESSAGE_TOO_LARGE');
  expect(app.logs.join('')).not.toContain('hunter2');
});
