// The PROXY protocol: a proxy passes on a connection unchanged, after a header with the client's address.

import http2 from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseProxyHeader } from '../../src/server/transport/proxy-protocol.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openCertificates } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { rawConnection } from '../support/raw.ts';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const v2 = (command: number, family: number, ...parts: number[][]) => {
  const body = Buffer.from(parts.flat());
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, body.length >> 8, body.length & 255]), body]);
};
const IPV4 = v2(0x21, 0x11, [203, 0, 113, 9], [10, 0, 0, 1], [1, 2, 3, 4]);
const IPV6 = v2(0x21, 0x21, [0x20, 1, 0xd, 0xb8, 0, 2, ...Array(9).fill(0), 7], Array(16).fill(0), [1, 2, 3, 4]);
const V1 = Buffer.from('PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n');

test.each([
  ['version 1, IPv4', V1, '203.0.113.9'],
  ['version 1, IPv6', Buffer.from('PROXY TCP6 2001:db8:2::7 ::1 4711 443\r\n'), '2001:db8:2::7'],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), ''],
  ['version 1, unknown with anything', Buffer.from('PROXY UNKNOWN ffff:: x 1 2\r\n'), ''],
  ['version 2, IPv4', IPV4, '203.0.113.9'],
  ['version 2, IPv6', IPV6, '2001:db8:2:0:0:0:0:7'],
  [
    'version 2, with extensions',
    v2(0x21, 0x11, [203, 0, 113, 9], [10, 0, 0, 1], [1, 2, 3, 4], [4, 0, 1, 0]),
    '203.0.113.9',
  ],
  ['version 2, local', v2(0x20, 0x00), null],
  ['version 2, of a Unix socket', v2(0x21, 0x31, Array(216).fill(0)), ''],
])('%s', (_, header, source) => {
  const whole = Buffer.concat([header, Buffer.from('GET /')]);
  expect(parseProxyHeader(whole)).toEqual({ kind: 'complete', source, length: header.length });
  for (let n = 0; n < header.length; n += 1)
    expect(parseProxyHeader(header.subarray(0, n)).kind, `${n}`).toBe('incomplete');
});

test.each([
  ['an HTTP request', 'GET / HTTP/1.1\r\n\r\n'],
  ['a version 1 that never ends', `PROXY TCP4 ${'1'.repeat(200)}`],
  ['a name for an address', 'PROXY TCP4 localhost 10.0.0.1 1 2\r\n'],
  ['an address of the other version', 'PROXY TCP4 ::1 ::1 1 2\r\n'],
  ['UDP', 'PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n'],
  ['lower case', 'proxy tcp4 1.2.3.4 1.2.3.4 1 2\r\n'],
  ['version 3', v2(0x31, 0x11, Array(12).fill(1)).toString('latin1')],
  ['a version 2 that is too short for its addresses', v2(0x21, 0x11, [1, 2, 3, 4]).toString('latin1')],
  ['a version 2 of 64 KiB', Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 255, 255])]).toString('latin1')],
])('%s is an invalid header', (_, text) => {
  expect(parseProxyHeader(Buffer.from(text, 'latin1')).kind).toBe('malformed');
});

test('any bytes have a result, and a complete header has an address or none', () => {
  const start = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 60 }).map((tail) => Buffer.concat([SIGNATURE, tail])),
    fc.string({ maxLength: 120 }).map((tail) => Buffer.from(`PROXY ${tail}`)),
  );
  fc.assert(
    fc.property(start, (bytes) => {
      const header = parseProxyHeader(Buffer.from(bytes));
      if (header.kind === 'complete') expect(header.length).toBeLessThanOrEqual(bytes.length);
    }),
    { numRuns: 5_000 },
  );
});

describe('on the port', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(
      { PROXY_PROTOCOL: 'on', TRUSTED_PROXIES: '127.0.0.0/8', MAX_CONNECTIONS_PER_PEER: '3' },
      { api: true, worker: false },
    );
  });
  afterAll(() => app.close());

  const ASK =
    'POST /latchkey.auth.v1.AuthService/Login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}';
  const logged = (address: string) =>
    eventually(() => app.logs.some((line) => line.includes(`"client_address":"${address}"`)));

  test('HTTP/1.1, in one piece and byte by byte', async () => {
    const whole = rawConnection(app.port, Buffer.concat([V1, Buffer.from(ASK)]));
    await eventually(() => whole.received().includes('HTTP/1.1 400'));
    await logged('203.0.113.9');
    const slow = rawConnection(app.port);
    for (const byte of Buffer.concat([IPV6, Buffer.from(ASK)])) {
      slow.socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await eventually(() => slow.received().includes('HTTP/1.1 400'));
    await logged('2001:db8:2:0:0:0:0:7');
    whole.socket.destroy();
    slow.socket.destroy();
  });

  test('HTTP/2, with the x-forwarded-for of an untrusted client ignored', async () => {
    const socket = connect(app.port, '127.0.0.1');
    socket.write('PROXY TCP4 203.0.113.10 10.0.0.1 4711 443\r\n');
    const session = http2.connect('http://localhost', { createConnection: () => socket });
    onTestFinished(() => session.destroy());
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': '1.2.3.4' };
    const stream = session.request({ ':method': 'POST', ':path': '/latchkey.auth.v1.AuthService/Login', ...headers });
    stream.end('{}');
    await new Promise((resolve) => stream.once('response', resolve));
    await logged('203.0.113.10');
    expect(app.logs.some((line) => line.includes('1.2.3.4'))).toBe(false);
  });

  test('a client without an address is not counted as the proxy, and IPv4 in IPv6 is IPv4', async () => {
    const forwarded = ASK.replace('host: x', 'host: x\r\nx-forwarded-for: 8.8.8.8');
    const unknown = rawConnection(app.port, `PROXY UNKNOWN\r\n${forwarded}`);
    await eventually(() => unknown.received().includes('HTTP/1.1 400'));
    await logged('');
    expect(app.logs.some((line) => line.includes('8.8.8.8'))).toBe(false);
    const mapped = v2(0x21, 0x21, [...Array(10).fill(0), 255, 255, 198, 51, 100, 7], Array(16).fill(0), [1, 2, 3, 4]);
    const fourInSix = rawConnection(app.port, Buffer.concat([mapped, Buffer.from(ASK)]));
    await logged('198.51.100.7');
    const local = rawConnection(app.port, Buffer.concat([v2(0x20, 0x00), Buffer.from(forwarded)]));
    await logged('8.8.8.8');
    for (const { socket } of [unknown, fourInSix, local]) socket.destroy();
  });

  test('a trusted peer without a header is disconnected', async () => {
    const bare = rawConnection(app.port, ASK);
    await bare.closed;
    expect(bare.received()).toBe('');
  });

  test('connections are counted by client, not by proxy', async () => {
    const open = (address: string) =>
      rawConnection(app.port, `PROXY TCP4 ${address} 10.0.0.1 1 2\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n`);
    const many = Array.from({ length: 9 }, (_, n) => open(`198.51.100.${n % 3}`));
    for (const one of many) await eventually(() => one.received().includes('200 OK'));
    const more = open('198.51.100.1');
    await more.closed;
    expect(more.received()).toBe('');
    for (const one of many) one.socket.destroy();
  });
});

test('the header of an untrusted peer is invalid HTTP', async () => {
  const app = await startTestApp({ PROXY_PROTOCOL: 'on', TRUSTED_PROXIES: '10.0.0.0/8' }, { api: true, worker: false });
  onTestFinished(() => app.close());
  const claiming = rawConnection(
    app.port,
    Buffer.concat([V1, Buffer.from('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')]),
  );
  await claiming.closed;
  expect(claiming.received()).toContain('400');
  expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
});

test('before TLS', async () => {
  const certificates = await openCertificates();
  onTestFinished(() => certificates.remove());
  const { cert, certFile, keyFile } = certificates.make('server', 'DNS:localhost');
  const tls = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
  const app = await startTestApp(
    { ...tls, PROXY_PROTOCOL: 'on', TRUSTED_PROXIES: '127.0.0.1' },
    { api: true, worker: false },
  );
  onTestFinished(() => app.close());
  const socket = connect(app.port, '127.0.0.1');
  socket.write(V1);
  const secure = connectTls({ socket, ca: cert, servername: 'localhost' });
  const body = '{}';
  secure.write(
    `POST /latchkey.auth.v1.AuthService/Login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await eventually(() => app.logs.some((line) => line.includes('"client_address":"203.0.113.9"')));
  secure.destroy();
});
