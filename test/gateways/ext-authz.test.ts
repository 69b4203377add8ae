// Envoy's ext_authz, with messages as Envoy sends them, over grpc-js as a client that is not ours.
import { randomUUID } from 'node:crypto';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
} from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { startTestApp, testApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, type SignedIn, signedIn, tokenOfService } from '../support/people.ts';

const app = await testApp({ AUDIENCE: 'shop' });
const { call } = app;
let client: grpc.Client;
let person: SignedIn;
beforeAll(async () => {
  client = new grpc.Client(new URL(app.url).host, grpc.credentials.createInsecure());
  const known = await registered(call);
  await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [known.userId]);
  person = await signedIn(call, known);
});
afterAll(async () => {
  client.close();
});

type Request = MessageInitShape<typeof CheckRequestSchema>;

/** What Envoy 1.30 sends of a GET, with these headers. */
function asEnvoy(headers: Record<string, string>, contextExtensions: Record<string, string> = {}): Request {
  const peer = (address: string, port: number) => ({
    address: {
      address: {
        case: 'socketAddress' as const,
        value: { address, portSpecifier: { case: 'portValue' as const, value: port } },
      },
    },
  });
  return {
    attributes: {
      source: peer('203.0.113.9', 51_234),
      destination: peer('10.0.0.7', 8_000),
      request: {
        time: { seconds: 1_790_000_000n, nanos: 5 },
        http: {
          id: '12345678901234567890',
          method: 'GET',
          headers: {
            ':authority': 'shop.example',
            ':method': 'GET',
            ':path': '/orders?x=1',
            ':scheme': 'https',
            accept: '*/*',
            'user-agent': 'curl/8',
            'x-forwarded-proto': 'https',
            'x-request-id': 'b3f8d5c2-1111-4222-8333-944445555666',
            ...headers,
          },
          path: '/orders?x=1',
          host: 'shop.example',
          scheme: 'https',
          protocol: 'HTTP/1.1',
        },
      },
      contextExtensions,
      metadataContext: {},
      routeMetadataContext: {},
    },
  };
}

function check(request: Request, query = ''): Promise<CheckResponse> {
  return new Promise((resolve, reject) =>
    client.makeUnaryRequest(
      `/envoy.service.auth.v3.Authorization/Check${query}`,
      (message: Request) => Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, message))),
      (bytes) => fromBinary(CheckResponseSchema, bytes),
      request,
      { deadline: Date.now() + 5_000 } as grpc.CallOptions,
      (error, answer) => (error ? reject(error) : resolve(answer as CheckResponse)),
    ),
  );
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const headersOf = (answer: CheckResponse): Record<string, string> => {
  const { case: kind, value } = answer.httpResponse;
  if (kind !== 'okResponse' && kind !== 'deniedResponse') return {};
  return Object.fromEntries(value.headers.map(({ header }) => [header?.key ?? '', header?.value ?? '']));
};
const httpStatus = (answer: CheckResponse): number =>
  answer.httpResponse.case === 'deniedResponse' ? Number(answer.httpResponse.value.status?.code) : 200;

// The second way is Connect's, which the fast path leaves to it because of the query.
describe.each([
  ['fast', ''],
  ['Connect', '?'],
])('by the way of %s', (_, query) => {
  test('admits, sets who it is, and overwrites what the client has sent', async () => {
    const answer = await check(asEnvoy({ ...bearer(person.accessToken), 'x-auth-user-id': 'root' }), query);
    expect(answer.status?.code ?? 0).toBe(0);
    expect(headersOf(answer)).toEqual({
      ...{ 'x-auth-user-id': person.userId, 'x-auth-session-id': expect.any(String), 'x-auth-roles': 'user' },
      ...{ 'x-auth-email': person.email, 'x-auth-email-verified': 'true' },
    });
    const { case: kind, value } = answer.httpResponse;
    expect(kind === 'okResponse' && value.headers.map(({ appendAction }) => appendAction)).toEqual([2, 2, 2, 2, 2]);
    expect(kind === 'okResponse' && value.headersToRemove).toEqual(['x-auth-service']);
    expect(answer.dynamicMetadata).toEqual({
      ...{ user_id: person.userId, session_id: expect.any(String), roles: ['user'] },
      ...{ email: person.email, email_verified: true },
    });
  });

  test('says of an email that is not verified that it is not', async () => {
    const stranger = await signedIn(call);
    const answer = await check(asEnvoy(bearer(stranger.accessToken)), query);
    expect(headersOf(answer)).toMatchObject({ 'x-auth-email': stranger.email, 'x-auth-email-verified': 'false' });
    expect(answer.dynamicMetadata).toMatchObject({ email: stranger.email, email_verified: false });
  });

  test('takes the email that a client claims away from a service', async () => {
    const token = await tokenOfService(app, call, `billing-${randomUUID().slice(0, 8)}`, ['user']);
    const answer = await check(asEnvoy({ ...bearer(token), 'x-auth-email': 'root@shop.example' }), query);
    const { case: kind, value } = answer.httpResponse;
    expect(kind === 'okResponse' && value.headersToRemove).toEqual([
      'x-auth-user-id',
      'x-auth-session-id',
      'x-auth-email',
      'x-auth-email-verified',
    ]);
    expect(Object.keys(answer.dynamicMetadata ?? {})).toEqual(['service', 'roles']);
  });

  test.each<[string, () => Request, number, number, string]>([
    ['no token', () => asEnvoy({}), 16, 401, 'CREDENTIALS_MISSING'],
    ['garbage', () => asEnvoy(bearer('x.y.z')), 16, 401, 'TOKEN_INVALID'],
    [
      'two credentials in one',
      () => asEnvoy({ authorization: `Bearer ${person.accessToken},Bearer x` }),
      16,
      401,
      'TOKEN_INVALID',
    ],
    [
      'a role that is missing',
      () => asEnvoy(bearer(person.accessToken), { role: 'admin' }),
      7,
      403,
      'ROLE_NOT_GRANTED',
    ],
    [
      'another audience',
      () => asEnvoy(bearer(person.accessToken), { audience: 'office' }),
      16,
      401,
      'AUDIENCE_MISMATCH',
    ],
    ['garbage where it is optional', () => asEnvoy(bearer('x'), { access: 'optional' }), 16, 401, 'TOKEN_INVALID'],
  ])('refuses %s', async (_name, request, code, status, reason) => {
    const answer = await check(request(), query);
    expect([answer.status?.code, httpStatus(answer)]).toEqual([code, status]);
    expect(headersOf(answer)['www-authenticate']).toMatch(/^Bearer realm="latchkey"/);
    expect(answer.httpResponse.case === 'deniedResponse' && JSON.parse(answer.httpResponse.value.body)).toMatchObject({
      reason,
    });
  });

  test.each([
    ['optional', {}],
    ['public', {}],
    ['public', { authorization: 'Bearer x' }],
  ])('as nobody where access is %s, and takes away what the client claims', async (access, headers) => {
    const answer = await check(asEnvoy({ ...headers, 'x-auth-roles': 'admin' }, { access }), query);
    const { case: kind, value } = answer.httpResponse;
    expect(answer.status?.code ?? 0).toBe(0);
    expect(kind === 'okResponse' && value.headersToRemove).toEqual([
      'x-auth-user-id',
      'x-auth-session-id',
      'x-auth-email',
      'x-auth-email-verified',
      'x-auth-service',
      'x-auth-roles',
    ]);
    expect(answer.dynamicMetadata).toBeUndefined();
  });

  test('with raw headers', async () => {
    const request = asEnvoy({});
    const rawValue = Buffer.from(`Bearer ${person.accessToken}`);
    Object.assign(request.attributes?.request?.http ?? {}, {
      headers: {},
      headerMap: { headers: [{ key: 'authorization', rawValue }] },
    });
    expect(headersOf(await check(request, query))['x-auth-user-id']).toBe(person.userId);
    const twice = asEnvoy({});
    const headers = [
      { key: 'authorization', rawValue },
      { key: 'Authorization', value: 'Bearer x' },
    ];
    Object.assign(twice.attributes?.request?.http ?? {}, { headers: {}, headerMap: { headers } });
    expect((await check(twice, query)).status?.code).toBe(16);
  });

  test('with a second one, however it is spelt or sent', async () => {
    const good = `Bearer ${person.accessToken}`;
    const rawValue = Buffer.from('Bearer x');
    for (const http of [
      { headers: { authorization: good, Authorization: 'Bearer x' } },
      { headers: { authorization: good }, headerMap: { headers: [{ key: 'AUTHORIZATION', rawValue }] } },
      { headers: {}, headerMap: { headers: [{ key: 'authorization', value: good, rawValue }] } },
    ]) {
      const request = asEnvoy({});
      Object.assign(request.attributes?.request?.http ?? {}, http);
      expect((await check(request, query)).status?.code).toBe(16);
    }
  });

  test.each([{ roel: 'admin' }, { role: '' }, { access: 'open' }, { audience: '' }])(
    'a route that is configured badly is an error, and lets nobody pass: %j',
    async (extensions) => {
      const failure = await check(asEnvoy(bearer(person.accessToken), extensions), query).catch((error) => error);
      expect(failure.code).toBe(grpc.status.INVALID_ARGUMENT);
    },
  );

  test('a request with nothing in it is one without a token', async () => {
    expect((await check({}, query)).status?.code).toBe(16);
  });
});

test('both ways answer the same bytes', async () => {
  for (const request of [
    asEnvoy(bearer(person.accessToken)),
    asEnvoy(bearer(person.accessToken), { role: 'admin' }),
    asEnvoy({}, { access: 'optional' }),
    asEnvoy({}),
  ]) {
    const [fast, connect] = [await check(request), await check(request, '?')];
    const bytes = (answer: CheckResponse) => Buffer.from(toBinary(CheckResponseSchema, answer)).toString('hex');
    expect(bytes(fast)).toBe(bytes(connect));
  }
});

test('a session that has ended is refused within a second', async () => {
  const leaving = await signedIn(call);
  const request = asEnvoy(bearer(leaving.accessToken));
  expect((await check(request)).status?.code ?? 0).toBe(0);
  await call(auth.logout, { refreshToken: leaving.refreshToken });
  await eventually(async () => (await check(request)).status?.code === 16, 1_000);
});

test('when nobody can tell it is an error, which Envoy does not let pass', async () => {
  const own = await startTestApp({ REVOCATION_MAX_AGE_MS: '500' }, { api: true, worker: false });
  const other = new grpc.Client(new URL(own.url).host, grpc.credentials.createInsecure());
  const before = client;
  try {
    const somebody = await signedIn(viaFetch(own.url));
    const lock = await own.owner.connect();
    await lock.query('BEGIN; LOCK TABLE changes, sessions IN ACCESS EXCLUSIVE MODE');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    client = other;
    const failure = await check(asEnvoy(bearer(somebody.accessToken))).catch((error) => error);
    expect(failure.code).toBe(grpc.status.UNAVAILABLE);
    await lock.query('ROLLBACK');
    lock.release();
  } finally {
    client = before;
    other.close();
    await own.close();
  }
}, 30_000);
