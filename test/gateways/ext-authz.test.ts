// Envoy's ext_authz: added and removed headers, routes, raw headers. test/server/endpoints.test.ts covers the states of a token.
import { randomUUID } from 'node:crypto';
import { toBinary } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CheckResponse, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { startTestApp, testApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, type SignedIn, signedIn, tokenOfService } from '../support/people.ts';
import { type Check, createCheck, envoyRequest, headersOf, httpStatusOf } from './envoy-check.ts';

const app = await testApp({ AUDIENCE: 'shop' });
const { call } = app;
let check: Check;
let closeClient: () => void;
let person: SignedIn;
beforeAll(async () => {
  ({ check, close: closeClient } = createCheck(app.url));
  const known = await registered(call);
  await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [known.userId]);
  person = await signedIn(call, known);
});
afterAll(async () => {
  closeClient();
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
// The fast path hands a request with a query over to Connect.
describe.each([
  ['the fast path', ''],
  ['Connect', '?'],
])('over %s', (_, query) => {
  test('allows, sets the identity headers, and overwrites those of the client', async () => {
    const answer = await check(envoyRequest({ ...bearer(person.accessToken), 'x-auth-user-id': 'root' }), query);
    expect(answer.status?.code ?? 0).toBe(0);
    const { auth_time: authTime } = decodeJwt(person.accessToken);
    expect(headersOf(answer)).toEqual({
      ...{ 'x-auth-user-id': person.userId, 'x-auth-session-id': expect.any(String), 'x-auth-roles': 'user' },
      ...{ 'x-auth-email': person.email, 'x-auth-email-verified': 'true' },
      ...{ 'x-auth-acr': 'pwd', 'x-auth-time': String(authTime) },
    });
    const { case: kind, value } = answer.httpResponse;
    expect(kind === 'okResponse' && value.headers.map(({ appendAction }) => appendAction)).toEqual(Array(7).fill(2));
    expect(kind === 'okResponse' && value.headersToRemove).toEqual(['x-auth-service']);
    expect(answer.dynamicMetadata).toEqual({
      ...{ user_id: person.userId, session_id: expect.any(String), roles: ['user'] },
      ...{ email: person.email, email_verified: true },
      ...{ acr: 'pwd', amr: ['pwd'], auth_time: authTime },
    });
  });

  test('marks an unverified email', async () => {
    const stranger = await signedIn(call);
    const answer = await check(envoyRequest(bearer(stranger.accessToken)), query);
    expect(headersOf(answer)).toMatchObject({ 'x-auth-email': stranger.email, 'x-auth-email-verified': 'false' });
    expect(answer.dynamicMetadata).toMatchObject({ email: stranger.email, email_verified: false });
  });

  test('removes the email header that a client of a service sends', async () => {
    const token = await tokenOfService(app, call, `billing-${randomUUID().slice(0, 8)}`, ['user']);
    const answer = await check(envoyRequest({ ...bearer(token), 'x-auth-email': 'root@shop.example' }), query);
    const { case: kind, value } = answer.httpResponse;
    expect(kind === 'okResponse' && value.headersToRemove).toEqual([
      'x-auth-user-id',
      'x-auth-session-id',
      'x-auth-email',
      'x-auth-email-verified',
      'x-auth-acr',
      'x-auth-time',
    ]);
    expect(Object.keys(answer.dynamicMetadata ?? {})).toEqual(['service', 'roles']);
  });

  test('rejects an invalid token where it is optional', async () => {
    const answer = await check(envoyRequest(bearer('x'), { access: 'optional' }), query);
    expect([answer.status?.code, httpStatusOf(answer)]).toEqual([16, 401]);
  });

  test.each([
    ['optional', {}],
    ['public', {}],
    ['public', { authorization: 'Bearer x' }],
  ])('is anonymous where access is %s, and removes the identity headers of the client', async (access, headers) => {
    const answer = await check(envoyRequest({ ...headers, 'x-auth-roles': 'admin' }, { access }), query);
    const { case: kind, value } = answer.httpResponse;
    expect(answer.status?.code ?? 0).toBe(0);
    expect(kind === 'okResponse' && value.headersToRemove).toEqual([
      'x-auth-user-id',
      'x-auth-session-id',
      'x-auth-email',
      'x-auth-email-verified',
      'x-auth-acr',
      'x-auth-time',
      'x-auth-service',
      'x-auth-roles',
    ]);
    expect(answer.dynamicMetadata).toBeUndefined();
  });

  test('reads raw headers', async () => {
    const request = envoyRequest({});
    const rawValue = Buffer.from(`Bearer ${person.accessToken}`);
    Object.assign(request.attributes?.request?.http ?? {}, {
      headers: {},
      headerMap: { headers: [{ key: 'authorization', rawValue }] },
    });
    expect(headersOf(await check(request, query))['x-auth-user-id']).toBe(person.userId);
    const twice = envoyRequest({});
    const headers = [
      { key: 'authorization', rawValue },
      { key: 'Authorization', value: 'Bearer x' },
    ];
    Object.assign(twice.attributes?.request?.http ?? {}, { headers: {}, headerMap: { headers } });
    expect((await check(twice, query)).status?.code).toBe(16);
  });

  test('rejects several credentials, in any spelling and form', async () => {
    const good = `Bearer ${person.accessToken}`;
    const rawValue = Buffer.from('Bearer x');
    for (const http of [
      { headers: { authorization: `${good},Bearer x` } },
      { headers: { authorization: good, Authorization: 'Bearer x' } },
      { headers: { authorization: good }, headerMap: { headers: [{ key: 'AUTHORIZATION', rawValue }] } },
      { headers: {}, headerMap: { headers: [{ key: 'authorization', value: good, rawValue }] } },
    ]) {
      const request = envoyRequest({});
      Object.assign(request.attributes?.request?.http ?? {}, http);
      expect((await check(request, query)).status?.code).toBe(16);
    }
  });

  test.each([{ roel: 'admin' }, { role: '' }, { access: 'open' }, { audience: '' }])(
    'an invalid configuration of a route denies every request: %j',
    async (extensions) => {
      const answer = await check(envoyRequest(bearer(person.accessToken), extensions), query);
      expect([answer.status?.code, httpStatusOf(answer)]).toEqual([status.INVALID_ARGUMENT, 400]);
      const body = answer.httpResponse.case === 'deniedResponse' && JSON.parse(answer.httpResponse.value.body);
      expect(body).toMatchObject({ violations: [{ field: Object.keys(extensions)[0] }] });
    },
  );

  test('reads an empty request as one without a token', async () => {
    expect((await check({}, query)).status?.code).toBe(16);
  });
});

test('the fast path and Connect return the same bytes', async () => {
  for (const request of [
    envoyRequest(bearer(person.accessToken)),
    envoyRequest(bearer(person.accessToken), { role: 'admin' }),
    envoyRequest({}, { access: 'optional' }),
    envoyRequest({}),
  ]) {
    const [fast, connect] = [await check(request), await check(request, '?')];
    const bytes = (answer: CheckResponse) => Buffer.from(toBinary(CheckResponseSchema, answer)).toString('hex');
    expect(bytes(fast)).toBe(bytes(connect));
  }
});

test('a revoked session is rejected within a second', async () => {
  const leaving = await signedIn(call);
  const request = envoyRequest(bearer(leaving.accessToken));
  expect((await check(request)).status?.code ?? 0).toBe(0);
  await call(auth.logout, { refreshToken: leaving.refreshToken });
  await eventually(async () => (await check(request)).status?.code === 16, 1_000);
});

test('an outage is an error, and Envoy blocks the request', async () => {
  const own = await startTestApp({ REVOCATION_MAX_AGE_MS: '500' }, { api: true, worker: false });
  const other = createCheck(own.url);
  try {
    const holder = await signedIn(viaFetch(own.url));
    const lock = await own.owner.connect();
    await lock.query('BEGIN; LOCK TABLE changes, sessions IN ACCESS EXCLUSIVE MODE');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const failure = await other.check(envoyRequest(bearer(holder.accessToken))).catch((error) => error);
    expect(failure.code).toBe(status.UNAVAILABLE);
    await lock.query('ROLLBACK');
    lock.release();
  } finally {
    other.close();
    await own.close();
  }
}, 30_000);
