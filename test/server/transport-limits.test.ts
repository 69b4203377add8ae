// Input of hostile or broken clients. After each of them the service answers as before.
import { once } from 'node:events';
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp, testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { envelope, grpcHeadersFrame, HTTP2_PREFACE, http2Frame, rawConnection, rawStream } from '../support/raw.ts';

const app = await testApp({ MAX_CONNECTIONS_PER_PEER: '50' });
const { call } = app;
const LOGIN = '/latchkey.auth.v1.AuthService/Login';

afterEach(async () => {
  expect((await call(auth.verify, { accessToken: 'x' })).reason).toBe('TOKEN_INVALID');
});

function http2Session(): http2.ClientHttp2Session {
  const session = http2.connect(app.url);
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  return session;
}

describe('size', () => {
  const big = JSON.stringify({ email: 'x'.repeat(70_000), password: 'x' });

  test('a message over 64 KiB is rejected over Connect', async () => {
    const response = await fetch(`${app.url}${LOGIN}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: big,
    });
    expect(response.status).toBe(429);
    expect(await response.json()).toMatchObject({ code: 'resource_exhausted' });
  });

  test.each([
    [LOGIN, 'application/json', 'content-encoding'],
    [LOGIN, 'application/grpc', 'grpc-encoding'],
    [LOGIN, 'application/grpc-web+proto', 'grpc-encoding'],
    ['/grpc.health.v1.Health/Watch', 'application/connect+proto', 'connect-content-encoding'],
  ])('a compressed request (%s, %s) is rejected before any of its body arrives', async (path, contentType, header) => {
    const { closed } = rawStream(http2Session(), path, { 'content-type': contentType, [header]: 'gzip' });
    const { headers, trailers, body } = await closed;
    expect(decodeURIComponent(JSON.stringify({ headers, trailers }) + body)).toMatch(/unsupported request/);
  });

  test('a gzip bomb is not inflated', async () => {
    const bomb = gzipSync(JSON.stringify({ email: 'x'.repeat(20_000_000) }));
    expect(bomb.length).toBeLessThan(64 * 1024);
    const response = await fetch(`${app.url}${LOGIN}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: bomb,
    });
    expect(await response.json()).toMatchObject({ code: 'unimplemented' });
  });

  test.each([
    ['claims 4 GiB', envelope(Buffer.alloc(10), 0, 0xffff_ffff), '8'],
    ['is over 64 KiB', envelope(Buffer.alloc(70_000)), '8'],
    ['is marked as compressed', envelope(gzipSync(Buffer.alloc(20_000_000)), 1), '3'],
  ])('a gRPC message that %s is rejected, and the stream ends', async (_, bytes, status) => {
    const { stream, closed } = rawStream(http2Session(), LOGIN);
    stream.write(bytes);
    const { headers, trailers } = await closed;
    expect(trailers['grpc-status'] ?? headers['grpc-status']).toBe(status);
  });

  test('a client that continues to send after the rejection is disconnected', async () => {
    const connection = rawConnection(app.port);
    connection.socket.write(
      `POST ${LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000000\r\n\r\n`,
    );
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const feed = setInterval(() => connection.socket.writable && connection.socket.write(chunk), 5);
    onTestFinished(() => clearInterval(feed));
    expect(await connection.closed).toBeLessThan(5_000);
  });

  test('headers over 48 KiB are rejected over HTTP/1.1', async () => {
    const connection = rawConnection(
      app.port,
      `GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(50_000)}\r\n\r\n`,
    );
    await connection.closed;
    expect(connection.received()).toMatch(/^HTTP\/1.1 431 /);
  });

  test('headers over 16 KiB are rejected over HTTP/2', async () => {
    const session = http2Session();
    await once(session, 'remoteSettings'); // The limit is in force once the client has seen it.
    await sleep(50);
    const { closed } = rawStream(session, LOGIN, { 'x-long': 'x'.repeat(17_000) });
    expect((await closed).headers[':status']).toBe(431);
  });

  test.each([LOGIN, '/latchkey.auth.v1.AuthService/Verify'])(
    'headers over 16 KiB are rejected also before the client has read the settings: %s',
    async (path) => {
      const { stream, closed } = rawStream(http2Session(), path, { 'x-long': 'x'.repeat(50_000) });
      stream.end(envelope(new Uint8Array()));
      expect((await closed).headers[':status']).toBe(431);
    },
  );

  test('the settings show the limits of a connection', async () => {
    const session = http2Session();
    const [settings] = await once(session, 'remoteSettings');
    expect(settings.maxConcurrentStreams).toBe(250);
    expect(settings.maxHeaderListSize).toBe(16 * 1024);
  });

  test('the connections of one peer are limited', async () => {
    const connections = Array.from({ length: 60 }, () => rawConnection(app.port, 'GET '));
    onTestFinished(() => {
      for (const { socket } of connections) socket.destroy();
    });
    let rejected = 0;
    for (const { closed } of connections) void closed.then(() => (rejected += 1));
    await sleep(1_000);
    // Connections that earlier tests left open count as well.
    expect(rejected).toBeGreaterThanOrEqual(10);
    expect(rejected).toBeLessThan(20);
    for (const { socket } of connections) socket.destroy();
    await sleep(200);
  });
});

describe('time', () => {
  const head = (length: number) =>
    `POST ${LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;

  test('a stalled connection is closed after ten seconds', async () => {
    const dripping = rawConnection(app.port, head(5000));
    const drip = setInterval(() => dripping.socket.writable && dripping.socket.write(' '), 300);
    onTestFinished(() => clearInterval(drip));
    const startedAt = performance.now();
    const { stream, closed } = rawStream(http2Session(), LOGIN);
    stream.write(envelope(Buffer.alloc(3), 0, 30));

    const times = {
      'a silent connection': rawConnection(app.port).closed,
      'a connection that sends only PR': rawConnection(app.port, 'PR').closed,
      'a header that does not end': rawConnection(app.port, head(5).slice(0, 60)).closed,
      'a body that does not end': rawConnection(app.port, `${head(50)}{"email":`).closed,
      'a body that arrives drop by drop': dripping.closed,
      'half of the preface of HTTP/2': rawConnection(app.port, 'PRI * HTTP/2.0\r\n').closed,
      'only the preface of HTTP/2': rawConnection(app.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n').closed,
      'an HTTP/2 stream whose body does not end': closed.then(() => performance.now() - startedAt),
    };
    for (const [what, time] of Object.entries(times)) {
      expect(await time, what).toBeGreaterThan(9_000);
      expect(await time, what).toBeLessThan(14_000);
    }
  });
});

describe('unread responses', () => {
  test('are closed with their streams', async () => {
    const session = http2.connect(app.url, { settings: { initialWindowSize: 0 } });
    session.on('error', () => {});
    onTestFinished(() => session.destroy());
    const startedAt = performance.now();
    const streams = Array.from({ length: 20 }, () => rawStream(session, '/latchkey.auth.v1.AuthService/Register'));
    for (const { stream } of streams) stream.end(envelope(Buffer.alloc(0)));
    const jwks = rawStream(session, '/.well-known/jwks.json', { ':method': 'GET' });
    jwks.stream.end();
    await Promise.all([...streams, jwks].map(({ closed }) => closed));
    expect(performance.now() - startedAt).toBeLessThan(25_000);
  }, 45_000);

  test('a connection that its client ends at once is closed', async () => {
    const connection = rawConnection(app.port);
    connection.socket.end();
    expect(await connection.closed).toBeLessThan(1_000);
  });

  test('many oversized messages leave the connection usable', async () => {
    // The client counts unsent bytes against its own limit.
    const session = http2.connect(app.url, { maxSessionMemory: 1_000 });
    onTestFinished(() => session.destroy());
    for (let n = 0; n < 20; n += 1) {
      const { stream, closed } = rawStream(session, LOGIN);
      stream.write(envelope(Buffer.alloc(3_000_000)));
      const { headers, trailers } = await closed;
      expect(trailers['grpc-status'] ?? headers['grpc-status']).toBe('8');
    }
    const { stream, closed } = rawStream(session, '/latchkey.auth.v1.AuthService/Verify');
    stream.end(envelope(Buffer.from([10, 1, 120])));
    const { headers, trailers } = await closed;
    expect(trailers['grpc-status'] ?? headers['grpc-status']).toBe('16');
  });
});

describe('invalid bytes', () => {
  test.each([
    ['random bytes', Buffer.from([0, 255, 1, 254, 13, 10, 13, 10, 200, 7, 9])],
    ['TLS to a cleartext port', Buffer.from('16030100c8010000c403030a', 'hex')],
    [
      'a preface and garbage',
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(400, 0xee)]),
    ],
    ['an odd request line', Buffer.from('POST  / / HTTP/9.9\r\n\r\n')],
    [
      'two lengths',
      Buffer.from(`POST ${LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}`),
    ],
  ])('%s end only their own connection', async (_, bytes) => {
    expect(await rawConnection(app.port, bytes).closed).toBeLessThan(5_000);
  });

  test.each([
    ['no host', `POST ${LOGIN} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`],
    [
      'a host that no URL can have',
      `POST ${LOGIN} HTTP/1.1\r\nhost: [\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}`,
    ],
  ])('a request with %s gets 400', async (_, bytes) => {
    const connection = rawConnection(app.port, bytes);
    await connection.closed;
    expect(connection.received()).toMatch(/^HTTP\/1.1 400 /);
  });

  test('invalid protobuf is an error of the caller', async () => {
    const { stream, closed } = rawStream(http2Session(), LOGIN);
    stream.end(envelope(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])));
    const { headers, trailers } = await closed;
    expect(trailers['grpc-status'] ?? headers['grpc-status']).toMatch(/^(3|13)$/);
  });

  test('a method that does not exist is not found', async () => {
    const response = await fetch(`${app.url}/latchkey.auth.v1.AuthService/BecomeAdmin`, { method: 'POST' });
    expect(response.status).toBe(404);
  });

  test.each(['Login', 'Verify', 'Refresh', 'ConfirmReset'])('%s cannot be reached by GET', async (method) => {
    const message = encodeURIComponent('{"email":"a@b.example","password":"x","accessToken":"x"}');
    const response = await fetch(`${app.url}/latchkey.auth.v1.AuthService/${method}?encoding=json&message=${message}`);
    expect(response.status).toBe(405);
  });

  test('a hundred thousand resets of streams do not end the process', async () => {
    const session = http2Session();
    for (let round = 0; round < 100 && !session.destroyed; round += 1) {
      for (let n = 0; n < 100 && !session.destroyed; n += 1) {
        const { stream } = rawStream(session, LOGIN);
        stream.close(http2.constants.NGHTTP2_CANCEL);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});

describe('a body in pieces of one byte', () => {
  test.each([LOGIN, '/latchkey.auth.v1.AuthService/Verify', '/latchkey.auth.v1.VerifierService/BatchVerify'])(
    'over HTTP/2 to %s ends the connection when there are too many',
    async (path) => {
      const open = (pieces: number) => {
        const body = envelope(Buffer.alloc(60_000, 1)).subarray(0, pieces);
        const frames = Array.from(body, (byte) => http2Frame(0, 0, 1, Buffer.from([byte])));
        const head = Buffer.concat([HTTP2_PREFACE, grpcHeadersFrame(1, path)]);
        const connection = rawConnection(Number(new URL(app.url).port), Buffer.concat([head, ...frames]));
        onTestFinished(() => void connection.socket.destroy());
        return connection;
      };
      expect(await open(60_000).closed).toBeLessThan(5_000);
      expect(await Promise.race([open(1_000).closed, sleep(500, 'still open')])).toBe('still open');
    },
  );

  test.each([LOGIN, '/latchkey.auth.v1.AuthService/Verify', '/.well-known/jwks.json'])(
    'over HTTP/1.1 to %s ends the connection when there are too many',
    async (path) => {
      const open = (pieces: number) => {
        const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
        const connection = rawConnection(Number(new URL(app.url).port), head + '1\r\na\r\n'.repeat(pieces));
        onTestFinished(() => void connection.socket.destroy());
        return connection;
      };
      expect(await open(60_000).closed).toBeLessThan(5_000);
      if (path === LOGIN) expect(await Promise.race([open(1_000).closed, sleep(500, 'still open')])).toBe('still open');
    },
  );

  test('is answered when it is small', async () => {
    for (const path of [LOGIN, '/latchkey.auth.v1.AuthService/Verify']) {
      const { stream, closed } = rawStream(http2Session(), path);
      const body = envelope(Buffer.concat([Buffer.from([10, 100]), Buffer.alloc(100, 65)]));
      for (let at = 0; at < body.length; at += 1) stream.write(body.subarray(at, at + 1));
      stream.end();
      const { headers, trailers } = await closed;
      expect(['3', '16']).toContain(trailers['grpc-status'] ?? headers['grpc-status']);
    }
  });
});

describe('deadlines', () => {
  test('a call that exceeds its deadline is ended', async () => {
    const slow = await startTestApp({ HASH_CONCURRENCY: '1', ARGON2_MEMORY_KIB: '262144', ARGON2_ITERATIONS: '6' });
    onTestFinished(() => slow.close());
    const session = http2.connect(slow.url);
    onTestFinished(() => session.destroy());
    const { stream, closed } = rawStream(session, LOGIN, { 'grpc-timeout': '100m' });
    const email = Buffer.from('unknown@people.example');
    stream.end(envelope(Buffer.concat([Buffer.from([10, email.length]), email, Buffer.from([18, 1, 120])])));
    const { headers, trailers } = await closed;
    expect(trailers['grpc-status'] ?? headers['grpc-status']).toBe('4');
  });
});
