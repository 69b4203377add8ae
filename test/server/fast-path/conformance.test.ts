// The fast path and Connect return the same bytes for unusual requests: fields, deadlines, encodings, bodies in pieces. The table in
// test/server/endpoints.test.ts compares them for every state of a token.
import http2 from 'node:http2';
import type { DescMethodUnary, JsonValue } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../../support/app.ts';
import { auth, verifierService } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { refreshed, type SignedIn, serviceAccount, signedIn, tokenOfService } from '../../support/people.ts';
import { envelope } from '../../support/raw.ts';
import { type BothWays, createBothWays, GRPC_WAY, toBinaryBytes, WAYS } from './both-ways.ts';

const app = await testApp({ AUDIENCE: 'shop,warehouse' });
const { call } = app;
let session: http2.ClientHttp2Session;
let bothWays: BothWays['send'];
const tokens: Record<'good' | 'other' | 'revoked' | 'stale' | 'expired' | 'admin' | 'service' | 'apiKey', string> =
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
  tokens.apiKey = await serviceAccount(app, 'shipping', ['user']);
  // The fast path answers a denial only after Connect has audited it.
  await call(auth.checkRole, { accessToken: tokens.good, role: 'admin' });
  app.freeze();
  const ways = createBothWays(app.url);
  session = ways.session;
  bothWays = ways.send;
});
afterAll(async () => {
  session.close();
});

type Case = {
  method: DescMethodUnary;
  input: () => JsonValue;
  headers?: () => Record<string, string>;
  /** Connect must answer it. */
  isOdd?: boolean;
};
const bearer = (token: () => string) => () => ({ authorization: `Bearer ${token()}` });
const asService = bearer(() => SERVICE_KEY);
const { verify, checkRole } = auth;
const { batchVerify } = verifierService;

const CASES: [string, Case][] = [
  ['Verify: valid', { method: verify, input: () => ({ accessToken: tokens.good }) }],
  ['Verify: valid, unverified email', { method: verify, input: () => ({ accessToken: tokens.other }) }],
  [
    'Verify: token in the header',
    { method: verify, input: () => ({}), headers: bearer(() => tokens.good), isOdd: true },
  ],
  [
    'Verify: tokens in header and message',
    { method: verify, input: () => ({ accessToken: tokens.good }), headers: bearer(() => tokens.other) },
  ],
  ['Verify: token outside ASCII', { method: verify, input: () => ({ accessToken: 'tökén' }), isOdd: true }],
  ['Verify: API key', { method: verify, input: () => ({ accessToken: tokens.apiKey }) }],
  ['Verify: service key', { method: verify, input: () => ({ accessToken: SERVICE_KEY }) }],
  ['Verify: no token', { method: verify, input: () => ({}), isOdd: true }],
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
    'Verify: deadline in the past',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': '0n', 'connect-timeout-ms': '0' }),
      isOdd: true,
    },
  ],
  [
    'Verify: with an invalid deadline',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': 'soon', 'connect-timeout-ms': 'soon' }),
      isOdd: true,
    },
  ],
  [
    'Verify: with the longest deadline',
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
    'Verify: with a deadline in the form of the other protocol',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'grpc-timeout': '5000', 'connect-timeout-ms': '5S' }),
      isOdd: true,
    },
  ],
  [
    'Verify: another protocol version',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good }),
      headers: () => ({ 'connect-protocol-version': '2', 'grpc-encoding': 'br' }),
      isOdd: true,
    },
  ],
  [
    'CheckRole: token in the header',
    { method: checkRole, input: () => ({ role: 'user' }), headers: bearer(() => tokens.good) },
  ],
  [
    'CheckRole: invalid role name',
    { method: checkRole, input: () => ({ accessToken: tokens.good, role: 'No Role' }), isOdd: true },
  ],
  [
    'CheckRole: by user id',
    {
      method: checkRole,
      input: () => ({ userId: '01a207a7-2607-72a4-9011-046a9b015fc0', role: 'user' }),
      headers: asService,
      isOdd: true,
    },
  ],
  ['CheckRole: no token', { method: checkRole, input: () => ({ role: 'user' }), isOdd: true }],
  [
    'Verify: a strength that the user has',
    { method: verify, input: () => ({ accessToken: tokens.good, acr: 'pwd', maxAge: 86_400 }) },
  ],
  [
    'Verify: every member, and a strength that the user does not have',
    {
      method: verify,
      input: () => ({ accessToken: tokens.good, audience: 'shop', acceptApiKeys: true, acr: 'mfa', maxAge: 600 }),
    },
  ],
  ['Verify: the longest age', { method: verify, input: () => ({ accessToken: tokens.good, maxAge: 31_536_000 }) }],
  [
    'Verify: a strength of a service',
    { method: verify, input: () => ({ accessToken: tokens.service, acr: 'pwd', maxAge: 600 }) },
  ],
  [
    'Verify: an unknown strength',
    { method: verify, input: () => ({ accessToken: tokens.good, acr: 'MFA' }), isOdd: true },
  ],
  [
    'Verify: an age that is too high',
    { method: verify, input: () => ({ accessToken: tokens.good, maxAge: 31_536_001 }), isOdd: true },
  ],
  [
    'CheckRole: a strength that the user has',
    { method: checkRole, input: () => ({ accessToken: tokens.good, role: 'user', acr: 'pwd', maxAge: 86_400 }) },
  ],
  [
    'CheckRole: neither the strength nor the role',
    { method: checkRole, input: () => ({ accessToken: tokens.good, role: 'admin', acr: 'phr' }) },
  ],
  [
    'BatchVerify: a strength that some have',
    {
      method: batchVerify,
      input: () => ({ accessTokens: [tokens.good, tokens.service, 'x', tokens.good], acr: 'pwd', maxAge: 86_400 }),
      headers: asService,
    },
  ],
  [
    'BatchVerify: a strength that the user does not have',
    {
      method: batchVerify,
      input: () => ({ accessTokens: [tokens.good, 'x'], acr: 'mfa' }),
      headers: asService,
    },
  ],
  [
    'BatchVerify: one token of each state',
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
  ['BatchVerify: no tokens', { method: batchVerify, input: () => ({}), headers: asService, isOdd: true }],
  ['BatchVerify: anonymous caller', { method: batchVerify, input: () => ({ accessTokens: ['x'] }), isOdd: true }],
  [
    'BatchVerify: user as caller',
    {
      method: batchVerify,
      input: () => ({ accessTokens: ['x'] }),
      headers: bearer(() => tokens.good),
      isOdd: true,
    },
  ],
  [
    'BatchVerify: administrator as caller',
    {
      method: batchVerify,
      input: () => ({ accessTokens: [tokens.good] }),
      headers: bearer(() => tokens.admin),
      isOdd: true,
    },
  ],
];

describe.each(WAYS)('%s', (_, way) => {
  test.each(CASES)('%s', async (name, { method, input, headers, isOdd }) => {
    const { fast, connect } = await bothWays(way, method, way.encode(method, input()), headers?.());
    expect({ ...fast, isFast: null }).toEqual({ ...connect, isFast: null });
    expect(connect.isFast).toBe(false);
    if (way.isHttp2 && name !== 'Verify: token in the header') expect(fast.isFast).toBe(!isOdd);
  });
});

describe.each(WAYS)('accepted API keys over %s', (_, way) => {
  const accepted = { acceptApiKeys: true };
  test.each<[string, Case]>([
    ['Verify', { method: verify, input: () => ({ accessToken: tokens.apiKey, ...accepted }) }],
    ['CheckRole', { method: checkRole, input: () => ({ accessToken: tokens.apiKey, role: 'user', ...accepted }) }],
    [
      'BatchVerify',
      { method: batchVerify, input: () => ({ accessTokens: [tokens.apiKey, 'x'], ...accepted }), headers: asService },
    ],
  ])('%s', async (_name, { method, input, headers }) => {
    // The cache holds a key for half a second.
    await eventually(async () => {
      await call(method, input(), { bearer: headers ? SERVICE_KEY : '' });
      const { fast, connect } = await bothWays(way, method, way.encode(method, input()), headers?.());
      expect({ ...fast, isFast: null }).toEqual({ ...connect, isFast: null });
      return !way.isHttp2 || fast.isFast;
    });
  });
});

describe('unusual messages', () => {
  const good = () => toBinaryBytes(verify, { accessToken: tokens.good });
  const text = () => Buffer.from(JSON.stringify({ accessToken: tokens.good }));
  const BINARY: [string, () => Uint8Array][] = [
    ['cut', () => good().subarray(0, 100)],
    ['an unknown field', () => Buffer.concat([good(), Buffer.from([0x7a, 1, 65])])],
    ['a flag', () => Buffer.concat([good(), Buffer.from([0x18, 1])])],
    ['a flag that is off', () => Buffer.concat([good(), Buffer.from([0x18, 0])])],
    ['a flag with another number', () => Buffer.concat([good(), Buffer.from([0x18, 2])])],
    ['a flag in several bytes', () => Buffer.concat([good(), Buffer.from([0x18, 0x81, 0])])],
    ['an age', () => Buffer.concat([good(), Buffer.from([0x28, 0x80, 0x20])])],
    ['an age of zero', () => Buffer.concat([good(), Buffer.from([0x28, 0])])],
    ['an age of zero in several bytes', () => Buffer.concat([good(), Buffer.from([0x28, 0x80, 0x80, 0])])],
    ['an age in five bytes', () => Buffer.concat([good(), Buffer.from([0x28, 0x81, 0x80, 0x80, 0x80, 0])])],
    ['an age in ten bytes', () => Buffer.concat([good(), Buffer.from([0x28, ...Array(9).fill(0xff), 1])])],
    ['an age twice', () => Buffer.concat([good(), Buffer.from([0x28, 1, 0x28, 0x80, 0x20])])],
    ['an age as a text', () => Buffer.concat([good(), Buffer.from([0x2a, 1, 65])])],
    ['an age without its end', () => Buffer.concat([good(), Buffer.from([0x28, 0x80])])],
    ['a strength as a number', () => Buffer.concat([good(), Buffer.from([0x20, 1])])],
    ['a number of another field', () => Buffer.concat([good(), Buffer.from([0x08, 1])])],
    ['a length without an end', () => Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    ['a length beyond the end', () => Buffer.from([0x0a, 0x7f, 65])],
    ['a length in too many bytes', () => Buffer.from([0x0a, 0x81, 0x80, 0x00, 65])],
    ['a tag in two bytes', () => Buffer.from([0x8a, 0x01, 1, 65])],
    ['field zero', () => Buffer.from([0x02, 1, 65])],
    ['invalid UTF-8', () => Buffer.from([0x0a, 2, 0xff, 0xfe])],
    ['a field twice', () => Buffer.concat([toBinaryBytes(verify, { accessToken: 'x' }), good()])],
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
    ['a flag', () => Buffer.from(`{"accessToken":"${tokens.good}","acceptApiKeys":true}`)],
    ['a text as flag', () => Buffer.from(`{"accessToken":"${tokens.good}","acceptApiKeys":"true"}`)],
    ['an age as a text', () => Buffer.from(`{"accessToken":"${tokens.good}","maxAge":"600"}`)],
    ['an age as a fraction', () => Buffer.from(`{"accessToken":"${tokens.good}","maxAge":1.5}`)],
    ['an age below zero', () => Buffer.from(`{"accessToken":"${tokens.good}","maxAge":-1}`)],
    ['an age with an exponent', () => Buffer.from(`{"accessToken":"${tokens.good}","maxAge":6e3}`)],
    ['an age of minus zero', () => Buffer.from(`{"accessToken":"${tokens.good}","maxAge":-0}`)],
    ['an age of null', () => Buffer.from(`{"accessToken":"${tokens.good}","maxAge":null}`)],
    ["an age by the proto's own name", () => Buffer.from(`{"accessToken":"${tokens.good}","max_age":1}`)],
    ['a strength as a number', () => Buffer.from(`{"accessToken":"${tokens.good}","acr":1}`)],
    ['a list', () => Buffer.from('[]')],
    ['__proto__', () => Buffer.from(`{"__proto__":{"accessToken":"${tokens.good}"}}`)],
    ['constructor', () => Buffer.from('{"constructor":"x"}')],
    ['invalid UTF-8', () => Buffer.from([0x7b, 0xff, 0x7d])],
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
    ['shorter than announced', () => envelope(good(), 0, 10_000)],
    ['longer than announced', () => envelope(good(), 0, 10)],
    ['4 GiB announced', () => envelope(good(), 0, 0xffff_ffff)],
    ['half a prefix', () => Buffer.from([0, 0])],
    ['nothing', () => Buffer.alloc(0)],
  ])('an envelope of gRPC: %s', async (_, body) => {
    const { fast, connect } = await bothWays(GRPC_WAY, verify, body());
    expect({ ...fast, isFast: null }).toEqual({ ...connect, isFast: null });
  });
});

test('a large body with many members costs only its reading', async () => {
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

describe('slow bodies', () => {
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
    const answer = await pieces(envelope(toBinaryBytes(verify, { accessToken: tokens.good })), [3, 2, 100], pauseMs);
    expect(answer['grpc-status']).toBe('0');
    expect(answer.date === undefined).toBe(isFast);
  });

  test('a body that comes long after the headers', async () => {
    const answer = await pieces(envelope(toBinaryBytes(verify, { accessToken: tokens.good })), [0], 300);
    expect(answer['grpc-status']).toBe('0');
  });

  test('streams that are reset before, during and after the answer leave nothing behind', async () => {
    const body = envelope(toBinaryBytes(verify, { accessToken: tokens.good }));
    for (let n = 0; n < 300; n += 1) {
      const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
      stream.on('error', () => {});
      if (n % 3 > 0) stream.write(body.subarray(0, n % 3 === 1 ? 20 : body.length));
      if (n % 2) stream.close(http2.constants.NGHTTP2_CANCEL);
      else setImmediate(() => stream.close(http2.constants.NGHTTP2_CANCEL));
    }
    expect((await call(auth.verify, { accessToken: tokens.good })).code).toBe('ok');
  });

  test('the response carries the request id of the client, or a new one with a rejection', async () => {
    expect((await pieces(envelope(toBinaryBytes(verify, { accessToken: tokens.good })), [], 0))['x-request-id']).toBe(
      'slow',
    );
    const { headers: answered } = await fetch(`${app.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"accessToken":"x"}',
    });
    expect(answered.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});
