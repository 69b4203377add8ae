// The fast path and Connect's answer the same calls with the same bytes: each case is sent twice, the second time with a
// query in its URL, which Connect passes over and the fast path does not know.
import http from 'node:http';
import http2 from 'node:http2';
import { type DescMethodUnary, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../../support/app.ts';
import { auth, verifierService } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { refreshed, type SignedIn, signedIn, tokenOfService } from '../../support/people.ts';
import { envelope } from '../../support/raw.ts';

const app = await testApp({ AUDIENCE: 'shop,warehouse' });
const { call } = app;
let session: http2.ClientHttp2Session;
const tokens: Record<'good' | 'other' | 'revoked' | 'stale' | 'expired' | 'admin' | 'service', string> =
  Object.create(null);

beforeAll(async () => {
  tokens.expired = (await signedIn(call)).accessToken;
  app.advance(901_000);
  const people: SignedIn[] = [];
  for (let n = 0; n < 5; n += 1) people.push(await signedIn(call));
  const [good, other, revoked, stale, admin] = people as [SignedIn, SignedIn, SignedIn, SignedIn, SignedIn];
  await call(auth.logout, { refreshToken: revoked.refreshToken });
  await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [good.userId]);
  for (const { userId } of [stale, admin]) {
    await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [userId]);
  }
  const isStale = async ({ accessToken }: SignedIn) =>
    (await call(auth.verify, { accessToken })).reason === 'TOKEN_STALE';
  await eventually(async () => (await isStale(stale)) && (await isStale(admin)));
  Object.assign(tokens, {
    good: (await refreshed(call, good)).accessToken,
    other: other.accessToken,
    revoked: revoked.accessToken,
    stale: stale.accessToken,
    admin: (await call(auth.refresh, { refreshToken: admin.refreshToken })).body.tokens.accessToken,
  });
  tokens.service = await tokenOfService(app, call, 'billing', ['user']);
  // Of a denial the audit trail is told first, by the general way.
  await call(auth.checkRole, { accessToken: tokens.good, role: 'admin' });
  app.freeze();
  session = http2.connect(app.url);
});
afterAll(async () => {
  session.close();
});

type Answer = { status: number; contentType: string; body: string; grpc: (string | undefined)[]; isFast: boolean };
type Send = (path: string, body: Uint8Array, headers: Record<string, string>) => Promise<Answer>;

const overHttp2: Send = (path, body, headers) =>
  new Promise((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
    const all: http2.IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on('response', (received) => Object.assign(all, received));
    stream.on('trailers', (received) => Object.assign(all, received));
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () =>
      resolve({
        status: Number(all[':status']),
        contentType: String(all['content-type']),
        body: Buffer.concat(chunks).toString('latin1'),
        grpc: ['grpc-status', 'grpc-message', 'grpc-status-details-bin'].map((name) => all[name] as string | undefined),
        // It leaves out the date.
        isFast: all.date === undefined,
      }),
    );
    stream.end(body);
  });

const overHttp1: Send = (path, body, headers) =>
  new Promise((resolve, reject) => {
    const request = http.request(`${app.url}${path}`, {
      method: 'POST',
      headers: { ...headers, 'content-length': body.length },
    });
    request.on('error', reject);
    request.on('response', async (response) => {
      const chunks = await response.toArray();
      resolve({
        status: response.statusCode ?? 0,
        contentType: response.headers['content-type'] ?? '',
        body: Buffer.concat(chunks).toString('latin1'),
        grpc: [],
        isFast: false,
      });
    });
    request.end(body);
  });

const withLength: Send = (path, body, headers) =>
  overHttp2(path, body, { ...headers, 'content-length': String(body.length) });

const json = (_: DescMethodUnary, input: JsonValue) => Buffer.from(JSON.stringify(input));
const binary = (method: DescMethodUnary, input: JsonValue) => toBinary(method.input, fromJson(method.input, input));

type Way = { send: Send; contentType: string; encode: (method: DescMethodUnary, input: JsonValue) => Uint8Array };
const grpcOf = (method: DescMethodUnary, input: JsonValue) => envelope(binary(method, input));
const WAYS: [string, Way][] = [
  ['gRPC', { send: overHttp2, contentType: 'application/grpc', encode: grpcOf }],
  ['gRPC+proto', { send: overHttp2, contentType: 'application/grpc+proto', encode: grpcOf }],
  ['Connect, binary, HTTP/2', { send: withLength, contentType: 'application/proto', encode: binary }],
  ['Connect, JSON, HTTP/2', { send: withLength, contentType: 'application/json', encode: json }],
  ['Connect, binary, HTTP/1.1', { send: overHttp1, contentType: 'application/proto', encode: binary }],
  ['Connect, JSON, HTTP/1.1', { send: overHttp1, contentType: 'application/json', encode: json }],
];

type Case = {
  method: DescMethodUnary;
  input: () => JsonValue;
  headers?: () => Record<string, string>;
  /** What the fast path must leave to Connect. */
  isOdd?: boolean;
};
const bearer = (token: () => string) => () => ({ authorization: `Bearer ${token()}` });
const asService = bearer(() => SERVICE_KEY);
const { verify, checkRole } = auth;
const { batchVerify } = verifierService;

const CASES: [string, Case][] = [
  ['Verify: good', { method: verify, input: () => ({ accessToken: tokens.good }) }],
  [
    'Verify: good, with an email that is not verified',
    { method: verify, input: () => ({ accessToken: tokens.other }) },
  ],
  ['Verify: good, for its audience', { method: verify, input: () => ({ accessToken: tokens.good, audience: 'shop' }) }],
  ['Verify: by the header', { method: verify, input: () => ({}), headers: bearer(() => tokens.good), isOdd: true }],
  [
    'Verify: by both',
    { method: verify, input: () => ({ accessToken: tokens.good }), headers: bearer(() => tokens.other) },
  ],
  ['Verify: another audience', { method: verify, input: () => ({ accessToken: tokens.good, audience: 'x' }) }],
  ['Verify: revoked', { method: verify, input: () => ({ accessToken: tokens.revoked }) }],
  ['Verify: stale', { method: verify, input: () => ({ accessToken: tokens.stale }) }],
  ['Verify: expired', { method: verify, input: () => ({ accessToken: tokens.expired }) }],
  ['Verify: no token of ours', { method: verify, input: () => ({ accessToken: 'x.y.z' }) }],
  ['Verify: a service key', { method: verify, input: () => ({ accessToken: SERVICE_KEY }) }],
  ['Verify: not in ASCII', { method: verify, input: () => ({ accessToken: 'tökén' }), isOdd: true }],
  ['Verify: nothing', { method: verify, input: () => ({}), isOdd: true }],
  ['Verify: too large', { method: verify, input: () => ({ accessToken: 'x'.repeat(70_000) }), isOdd: true }],
  ['Verify: large', { method: verify, input: () => ({ accessToken: 'x'.repeat(60_000) }) }],
  [
    'Verify: with a deadline',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': '5S', 'connect-timeout-ms': '5000' }),
    },
  ],
  [
    'Verify: too late',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': '0n', 'connect-timeout-ms': '0' }),
      isOdd: true,
    },
  ],
  [
    'Verify: with a deadline that is none',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': 'soon', 'connect-timeout-ms': 'soon' }),
      isOdd: true,
    },
  ],
  [
    'Verify: with the longest of deadlines',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': '99999999H', 'connect-timeout-ms': '9999999999' }),
    },
  ],
  [
    'Verify: with a deadline of many digits',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': '09999999H', 'connect-timeout-ms': '0000005000' }),
    },
  ],
  [
    "Verify: with a deadline in the other protocol's words",
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': '5000', 'connect-timeout-ms': '5S' }),
      isOdd: true,
    },
  ],
  [
    'Verify: of another version',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'connect-protocol-version': '2', 'grpc-encoding': 'br' }),
      isOdd: true,
    },
  ],
  ['Verify: of a service', { method: verify, input: () => ({ accessToken: tokens.service }) }],
  ['CheckRole: of a service', { method: checkRole, input: () => ({ accessToken: tokens.service, role: 'user' }) }],
  ['CheckRole: held', { method: checkRole, input: () => ({ accessToken: tokens.good, role: 'user' }) }],
  ['CheckRole: not held', { method: checkRole, input: () => ({ accessToken: tokens.good, role: 'admin' }) }],
  [
    'CheckRole: by the header',
    { method: checkRole, input: () => ({ role: 'user' }), headers: bearer(() => tokens.good) },
  ],
  ['CheckRole: stale', { method: checkRole, input: () => ({ accessToken: tokens.stale, role: 'user' }) }],
  [
    'CheckRole: no role',
    { method: checkRole, input: () => ({ accessToken: tokens.good, role: 'No Role' }), isOdd: true },
  ],
  [
    'CheckRole: by a user',
    {
      method: checkRole,
      input: () => ({ userId: '01a207a7-2607-72a4-9011-046a9b015fc0', role: 'user' }),
      headers: asService,
      isOdd: true,
    },
  ],
  ['CheckRole: of nobody', { method: checkRole, input: () => ({ role: 'user' }), isOdd: true }],
  [
    'BatchVerify: one of each',
    {
      method: batchVerify,
      input: () => ({
        accessTokens: [tokens.good, tokens.revoked, 'x', '', tokens.stale, tokens.expired, tokens.other, tokens.good],
      }),
      headers: asService,
    },
  ],
  [
    'BatchVerify: for an audience',
    {
      method: batchVerify,
      input: () => ({ accessTokens: [tokens.good, 'x'], audience: 'office' }),
      headers: asService,
    },
  ],
  [
    'BatchVerify: 1,000',
    {
      method: batchVerify,
      input: () => ({ accessTokens: Array.from({ length: 1_000 }, () => tokens.good) }),
      headers: asService,
    },
  ],
  [
    'BatchVerify: 1,001',
    {
      method: batchVerify,
      input: () => ({ accessTokens: Array.from({ length: 1_001 }, () => 'x') }),
      headers: asService,
      isOdd: true,
    },
  ],
  [
    'BatchVerify: too large',
    {
      method: batchVerify,
      input: () => ({ accessTokens: Array.from({ length: 1_000 }, () => 'x'.repeat(1_100)) }),
      headers: asService,
      isOdd: true,
    },
  ],
  ['BatchVerify: none', { method: batchVerify, input: () => ({}), headers: asService, isOdd: true }],
  ['BatchVerify: by nobody', { method: batchVerify, input: () => ({ accessTokens: ['x'] }), isOdd: true }],
  [
    'BatchVerify: by a user',
    {
      method: batchVerify,
      input: () => ({ accessTokens: ['x'] }),
      headers: bearer(() => tokens.good),
      isOdd: true,
    },
  ],
  [
    'BatchVerify: by an administrator',
    {
      method: batchVerify,
      input: () => ({ accessTokens: [tokens.good] }),
      headers: bearer(() => tokens.admin),
      isOdd: true,
    },
  ],
];

async function bothWays(way: Way, method: DescMethodUnary, body: Uint8Array, headers: Record<string, string> = {}) {
  const all = { 'content-type': way.contentType, 'x-request-id': 'conformance', ...headers };
  const path = `/${method.parent.typeName}/${method.name}`;
  const fast = await way.send(path, body, all);
  const connect = await way.send(`${path}?`, body, all);
  return { fast, connect };
}

describe.each(WAYS)('%s', (_, way) => {
  test.each(CASES)('%s', async (name, { method, input, headers, isOdd }) => {
    const { fast, connect } = await bothWays(way, method, way.encode(method, input()), headers?.());
    expect({ ...fast, isFast: null }).toEqual({ ...connect, isFast: null });
    expect(connect.isFast).toBe(false);
    if (way.send !== overHttp1 && name !== 'Verify: by the header') expect(fast.isFast).toBe(!isOdd);
  });
});

describe('what is no plain message', () => {
  const good = () => binary(verify, { accessToken: tokens.good });
  const text = () => Buffer.from(JSON.stringify({ accessToken: tokens.good }));
  const BINARY: [string, () => Uint8Array][] = [
    ['cut', () => good().subarray(0, 100)],
    ['an unknown field', () => Buffer.concat([good(), Buffer.from([0x7a, 1, 65])])],
    ['a number', () => Buffer.concat([good(), Buffer.from([0x18, 1])])],
    ['a length without an end', () => Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    ['a length beyond the end', () => Buffer.from([0x0a, 0x7f, 65])],
    ['a length in too many bytes', () => Buffer.from([0x0a, 0x81, 0x80, 0x00, 65])],
    ['a tag in two bytes', () => Buffer.from([0x8a, 0x01, 1, 65])],
    ['field zero', () => Buffer.from([0x02, 1, 65])],
    ['no UTF-8', () => Buffer.from([0x0a, 2, 0xff, 0xfe])],
    ['a field twice', () => Buffer.concat([binary(verify, { accessToken: 'x' }), good()])],
    ['noise', () => Buffer.from('this is no protobuf at all')],
  ];
  const JSONS: [string, () => Uint8Array][] = [
    ['cut', () => text().subarray(0, 100)],
    ['an unknown member', () => Buffer.from('{"accessToken":"x","more":1}')],
    ["the proto's own name", () => Buffer.from(`{"access_token":"${tokens.good}"}`)],
    ['both names', () => Buffer.from(`{"access_token":"${tokens.good}","accessToken":"x"}`)],
    ['a member twice', () => Buffer.from(`{"accessToken":"x","accessToken":"${tokens.good}"}`)],
    ['null', () => Buffer.from('null')],
    ['null as token', () => Buffer.from('{"accessToken":null}')],
    ['a number as token', () => Buffer.from('{"accessToken":1}')],
    ['a list', () => Buffer.from('[]')],
    ['__proto__', () => Buffer.from(`{"__proto__":{"accessToken":"${tokens.good}"}}`)],
    ['constructor', () => Buffer.from('{"constructor":"x"}')],
    ['no UTF-8', () => Buffer.from([0x7b, 0xff, 0x7d])],
    ['a byte order mark', () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), text()])],
    ['white space', () => Buffer.from(` \n${text()}\t `)],
    ['escapes', () => Buffer.from('{"access\\u0054oken":"\\u0078"}')],
    ['deeply nested', () => Buffer.from('['.repeat(10_000))],
  ];

  test.each(WAYS.filter(([, way]) => way.contentType !== 'application/json'))('%s', async (_, way) => {
    for (const [name, body] of BINARY) {
      const bytes = way.contentType === 'application/proto' ? body() : envelope(body());
      const { fast, connect } = await bothWays(way, verify, bytes);
      expect({ ...fast, isFast: null }, name).toEqual({ ...connect, isFast: null });
    }
  });

  test.each(WAYS.filter(([, way]) => way.contentType === 'application/json'))('%s', async (_, way) => {
    for (const [name, body] of JSONS) {
      const { fast, connect } = await bothWays(way, verify, body());
      expect({ ...fast, isFast: null }, name).toEqual({ ...connect, isFast: null });
    }
  });

  test.each([
    ['compressed by its flag', () => envelope(good(), 1)],
    ['two messages', () => Buffer.concat([envelope(good()), envelope(good())])],
    ['less than it claims', () => envelope(good(), 0, 10_000)],
    ['more than it claims', () => envelope(good(), 0, 10)],
    ['4 GiB, it claims', () => envelope(good(), 0, 0xffff_ffff)],
    ['half a prefix', () => Buffer.from([0, 0])],
    ['nothing', () => Buffer.alloc(0)],
  ])('an envelope of gRPC: %s', async (_, body) => {
    const { fast, connect } = await bothWays(WAYS[0]?.[1] as Way, verify, body());
    expect({ ...fast, isFast: null }).toEqual({ ...connect, isFast: null });
  });
});

test('a large body of many members costs no more than reading it', async () => {
  const startedAt = performance.now();
  for (const body of [
    `[${'1,'.repeat(100_000)}1]`,
    JSON.stringify(Object.fromEntries([...Array(20_000).keys()].map((n) => [`k${n}`, 1]))),
  ]) {
    const url = `${app.url}/latchkey.auth.v1.VerifierService/BatchVerify`;
    await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  }
  expect(performance.now() - startedAt).toBeLessThan(1_500);
});

describe('in its own time', () => {
  const headers = { 'content-type': 'application/grpc', te: 'trailers', 'x-request-id': 'slow' };
  const path = '/latchkey.auth.v1.AuthService/Verify';
  const pieces = async (bytes: Uint8Array, sizes: number[], pauseMs: number) => {
    const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
    const all: http2.IncomingHttpHeaders = {};
    stream.on('response', (received) => Object.assign(all, received));
    stream.on('trailers', (received) => Object.assign(all, received));
    stream.resume();
    let at = 0;
    for (const size of [...sizes, bytes.length]) {
      stream.write(bytes.subarray(at, at + size));
      at += size;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    stream.end();
    await new Promise((resolve) => stream.once('close', resolve));
    return all;
  };

  test.each([
    [10, true],
    [250, false],
  ])('a message in pieces, with %i ms between them', async (pauseMs, isFast) => {
    const answer = await pieces(envelope(binary(verify, { accessToken: tokens.good })), [3, 2, 100], pauseMs);
    expect(answer['grpc-status']).toBe('0');
    expect(answer.date === undefined).toBe(isFast);
  });

  test('a body that comes long after the headers', async () => {
    const answer = await pieces(envelope(binary(verify, { accessToken: tokens.good })), [0], 300);
    expect(answer['grpc-status']).toBe('0');
  });

  test('streams that are reset before, during and after the answer leave nothing behind', async () => {
    const body = envelope(binary(verify, { accessToken: tokens.good }));
    for (let n = 0; n < 300; n += 1) {
      const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
      stream.on('error', () => {});
      if (n % 3 > 0) stream.write(body.subarray(0, n % 3 === 1 ? 20 : body.length));
      if (n % 2) stream.close(http2.constants.NGHTTP2_CANCEL);
      else setImmediate(() => stream.close(http2.constants.NGHTTP2_CANCEL));
    }
    expect((await call(auth.verify, { accessToken: tokens.good })).code).toBe('ok');
  });

  test('the request id of the caller comes back, and one of ours with a refusal', async () => {
    expect((await pieces(envelope(binary(verify, { accessToken: tokens.good })), [], 0))['x-request-id']).toBe('slow');
    const { headers: answered } = await fetch(`${app.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"accessToken":"x"}',
    });
    expect(answered.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});
