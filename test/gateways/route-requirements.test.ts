// The requirements of routes from a policy file and from metadata, API keys, preflights, large requests and the origin
// of a request, in ext_authz and in forward auth.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckResponse } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, verifierService } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { bearer, type SignedIn, serviceAccount, signedIn, signedInWith } from '../support/people.ts';
import { type Check, createCheck, type EnvoyRequest, envoyRequest, headersOf, httpStatusOf } from './envoy-check.ts';

const POLICY = `
routes:
  - { path: /public, access: public }
  - { path: /admin, role: admin }
  - { path: /keys, api_keys: accept }
  - { path: /pages, preflight: pass }
  - { grpc: shop.v1.Orders/Cancel, role: admin }
  - { host: open.example, path: /, access: public }
`;
const PREFLIGHT = { origin: 'https://shop.example', 'access-control-request-method': 'PUT' };

let app: TestApp;
let call: Caller;
let check: Check;
let person: SignedIn;
let admin: SignedIn;
let apiKey: string;
const folder = mkdtempSync(join(tmpdir(), 'latchkey-policy-'));
const policyFile = join(folder, 'policy.yaml');
const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];

beforeAll(async () => {
  writeFileSync(policyFile, POLICY);
  app = await startTestApp({
    ...{ POLICY_FILE: policyFile, TRUSTED_PROXIES: '127.0.0.1,203.0.113.9', AUDIENCE: 'shop' },
  });
  closers.push(() => app.close());
  ({ call } = app);
  const client = createCheck(app.url);
  check = client.check;
  closers.push(client.close);
  person = await signedIn(call);
  admin = await signedInWith(app, call, ['admin']);
  apiKey = await serviceAccount(app, `billing-${randomUUID().slice(0, 8)}`, ['user']);
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

function requestFor(path: string, headers: Record<string, string> = {}, http: object = {}): EnvoyRequest {
  const request = envoyRequest(headers);
  Object.assign(request.attributes?.request?.http ?? {}, { path, ...http });
  return request;
}

function outcomeOf(answer: CheckResponse): string {
  return answer.status?.code ? `${httpStatusOf(answer)} ${answer.status.message}` : '200';
}

describe.each([
  ['the fast path', ''],
  ['Connect', '?'],
])('ext_authz over %s', (_, query) => {
  const outcome = async (request: EnvoyRequest, metadata = {}) => outcomeOf(await check(request, query, metadata));

  test('meets the rule of the policy file', async () => {
    const [user, operator] = [bearer(person.accessToken), bearer(admin.accessToken)];
    expect(await outcome(requestFor('/public/x'))).toBe('200');
    expect(await outcome(requestFor('/orders'))).toBe('401 CREDENTIALS_MISSING');
    expect(await outcome(requestFor('/orders', user))).toBe('200');
    expect(await outcome(requestFor('/admin', user))).toBe('403 ROLE_NOT_GRANTED');
    expect(await outcome(requestFor('/admin', operator))).toBe('200');
    expect(await outcome(requestFor('/shop.v1.Orders/Cancel', user))).toBe('403 ROLE_NOT_GRANTED');
    expect(await outcome(requestFor('/', {}, { host: 'open.example:443' }))).toBe('200');
    expect(await outcome(requestFor('/public/..;/admin', user))).toBe('403 ROLE_NOT_GRANTED');
  });

  test('meets it for a gRPC server, which sends raw headers and no host', async () => {
    const headers = [{ key: 'authorization', rawValue: Buffer.from(`Bearer ${person.accessToken}`) }];
    const http = { headers: {}, headerMap: { headers }, host: '', method: 'POST' };
    expect(await outcome(requestFor('/shop.v1.Orders/Cancel', {}, http))).toBe('403 ROLE_NOT_GRANTED');
    expect(await outcome(requestFor('/shop.v1.Orders/List', {}, http))).toBe('200');
    // The server derives the code of the answer from the status of HTTP.
    const anonymous = { ...http, id: '', headerMap: { headers: [{ key: 'content-type', value: 'application/grpc' }] } };
    const answer = await check(requestFor('/shop.v1.Orders/List', {}, anonymous), query);
    expect([httpStatusOf(answer), headersOf(answer)['grpc-status']]).toEqual([401, '16']);
  });

  test('denies a request without a path by the strictest rule', async () => {
    expect(await outcome(requestFor('', bearer(person.accessToken)))).toBe('403 ROLE_NOT_GRANTED');
  });

  test('meets the requirements of the metadata, which add to the others', async () => {
    const [user, operator] = [bearer(person.accessToken), bearer(admin.accessToken)];
    const role = { 'x-latchkey-role': 'admin' };
    expect(await outcome(requestFor('/orders', user), role)).toBe('403 ROLE_NOT_GRANTED');
    expect(await outcome(requestFor('/orders', operator), role)).toBe('200');
    expect(await outcome(requestFor('/public', {}), role)).toBe('401 CREDENTIALS_MISSING');
    expect(await outcome(requestFor('/orders', user), { 'x-latchkey-audience': 'office' })).toBe(
      '401 AUDIENCE_MISMATCH',
    );
    expect(await outcome(requestFor('/admin', {}), { 'x-latchkey-access': 'public' })).toBe('401 CREDENTIALS_MISSING');
    expect(await outcome(requestFor('/other', {}), { 'x-latchkey-access': 'public' })).toBe('200');
  });

  test.each([
    [{ 'x-latchkey-rol': 'admin' }, 'x-latchkey-rol'],
    [{ 'x-latchkey-access': 'open' }, 'x-latchkey-access'],
    [{ 'x-latchkey-api-keys': 'yes' }, 'x-latchkey-api_keys'],
  ])('denies every request with the invalid metadata %j', async (metadata, field) => {
    const answer = await check(requestFor('/public'), query, metadata);
    expect(outcomeOf(answer)).toBe('400 INVALID_ARGUMENT');
    const body = answer.httpResponse.case === 'deniedResponse' && JSON.parse(answer.httpResponse.value.body);
    expect(body).toMatchObject({ violations: [{ field }] });
  });

  test('ignores requirements that a client sends', async () => {
    const forged = { 'x-latchkey-access': 'public', 'x-latchkey-api-keys': 'accept' };
    expect(await outcome(requestFor('/orders', forged))).toBe('401 CREDENTIALS_MISSING');
  });

  test('accepts an API key only where the route does', async () => {
    const key = bearer(apiKey);
    const answer = await check(requestFor('/keys', key), query);
    expect(headersOf(answer)).toMatchObject({
      'x-auth-service': expect.stringMatching(/^billing-/),
      'x-auth-roles': 'user',
    });
    expect(await outcome(requestFor('/orders', key))).toBe('401 API_KEY_NOT_ACCEPTED');
    expect(await outcome(requestFor('/orders', key), { 'x-latchkey-api-keys': 'accept' })).toBe('200');
    expect(await outcome(requestFor('/admin', key), { 'x-latchkey-api-keys': 'accept' })).toBe(
      '401 API_KEY_NOT_ACCEPTED',
    );
    expect(await outcome(requestFor('/keys', key), { 'x-latchkey-role': 'admin' })).toBe('403 ROLE_NOT_GRANTED');
    expect(await outcome(requestFor('/keys', key), { 'x-latchkey-audience': 'shop' })).toBe('200');
    expect(await outcome(requestFor('/keys', key), { 'x-latchkey-audience': 'office' })).toBe('401 AUDIENCE_MISMATCH');
    expect(await outcome(requestFor('/keys', bearer(`lka_${'x'.repeat(43)}`)))).toBe('401 TOKEN_INVALID');
    expect(await outcome(requestFor('/keys', bearer(SERVICE_KEY)))).toBe('401 API_KEY_NOT_ACCEPTED');
  });

  test('lets a preflight pass only where the route does', async () => {
    const options = { method: 'OPTIONS' };
    expect(await outcome(requestFor('/pages/x', PREFLIGHT, options))).toBe('200');
    expect(await outcome(requestFor('/orders', PREFLIGHT, options))).toBe('401 CREDENTIALS_MISSING');
    expect(await outcome(requestFor('/other', PREFLIGHT, options), { 'x-latchkey-preflight': 'pass' })).toBe('200');
    for (const [headers, method] of [
      [PREFLIGHT, 'GET'],
      [{ origin: 'https://shop.example' }, 'OPTIONS'],
      [{ 'access-control-request-method': 'PUT' }, 'OPTIONS'],
    ] as const)
      expect(await outcome(requestFor('/pages', headers, { method }))).toBe('401 CREDENTIALS_MISSING');
  });

  test('writes the request id and the client address of the request to the log', async () => {
    const requestId = randomUUID();
    const origin = { 'x-request-id': requestId, 'x-forwarded-for': '192.0.2.66, 198.51.100.7, 203.0.113.9' };
    // Only the first rejections of a second have a line.
    const line = await eventually(async () => {
      await check(requestFor('/orders', origin), query);
      return app.logs.find((text) => text.includes(requestId));
    });
    expect(JSON.parse(line)).toMatchObject({
      ...{ method: 'envoy.service.auth.v3.Authorization/Check', reason: 'CREDENTIALS_MISSING' },
      ...{ request_id: requestId, client_address: '198.51.100.7' },
    });
  });

  test('takes the body of a request', async () => {
    const user = bearer(person.accessToken);
    expect(await outcome(requestFor('/orders', user, { body: 'x'.repeat(1_000_000) }))).toBe('200');
    expect(await outcome(requestFor('/orders', user, { rawBody: Buffer.alloc(1_000_000) }))).toBe('200');
    const failure = await check(requestFor('/orders', user, { body: 'x'.repeat(1_100_000) }), query).catch(String);
    expect(failure).toMatch(/exceeds a limit/);
  });
});

test('the audit event of a denied role names the request and its client', async () => {
  const requestId = randomUUID();
  const someone = await signedIn(call);
  const headers = { ...bearer(someone.accessToken), 'x-request-id': requestId, 'user-agent': 'shop-app/1' };
  await check(requestFor('/admin', { ...headers, 'x-forwarded-for': '198.51.100.8' }));
  const find = () => app.owner.query('SELECT * FROM audit_events WHERE request_id = $1', [requestId]);
  await eventually(async () => (await find()).rowCount === 1);
  expect((await find()).rows[0]).toMatchObject({
    type: 'role_denied',
    address: '198.51.100.8',
    user_agent: 'shop-app/1',
  });
});

describe('forward auth', () => {
  const ask = async (suffix: string, headers: Record<string, string> = {}, method = 'GET') => {
    const response = await fetch(`${app.url}/forward-auth${suffix}`, { headers, method });
    return `${response.status} ${response.status === 200 ? '' : ((await response.json()) as { reason: string }).reason}`.trim();
  };
  const forwarded = (uri: string, method = 'GET', host = 'shop.example') => ({
    ...{ 'x-forwarded-uri': uri, 'x-forwarded-method': method, 'x-forwarded-host': host },
  });

  test('meets the rule of the forwarded request', async () => {
    const user = bearer(person.accessToken);
    expect(await ask('', forwarded('/public'))).toBe('200');
    expect(await ask('', { ...user, ...forwarded('/admin') })).toBe('403 ROLE_NOT_GRANTED');
    expect(await ask('', { ...user, ...forwarded('/public/..;/admin') })).toBe('403 ROLE_NOT_GRANTED');
    expect(await ask('', { ...user, ...forwarded('/orders') })).toBe('200');
    expect(await ask('?role=admin', forwarded('/public'))).toBe('401 CREDENTIALS_MISSING');
    expect(await ask('?access=public', forwarded('/admin'))).toBe('401 CREDENTIALS_MISSING');
    expect(await ask('', forwarded('/', 'GET', 'open.example'))).toBe('200');
  });

  test('reads the headers of nginx and of its ingress controller', async () => {
    const nginx = { 'x-original-uri': '/public', 'x-original-method': 'GET', 'x-original-host': 'shop.example' };
    expect(await ask('', nginx)).toBe('200');
    const ingress = { 'x-original-url': 'https://shop.example/public?x=1', 'x-original-method': 'GET' };
    expect(await ask('', ingress)).toBe('200');
    expect(await ask('', { ...ingress, 'x-forwarded-host': 'shop.example:443' })).toBe('200');
  });

  test.each([
    ['no description', {}],
    ['no method', { 'x-forwarded-uri': '/public', 'x-forwarded-host': 'x' }],
    ['no host', { 'x-forwarded-uri': '/public', 'x-forwarded-method': 'GET' }],
    ['another path', { ...forwarded('/public'), 'x-original-uri': '/admin' }],
    ['another path in the URL', { ...forwarded('/public'), 'x-original-url': 'http://shop.example/admin' }],
    ['another host', { ...forwarded('/'), 'x-original-host': 'open.example' }],
    ['another method', { ...forwarded('/pages', 'OPTIONS'), ...PREFLIGHT, 'x-original-method': 'GET' }],
    ['an unreadable URL', { 'x-original-url': '/public', 'x-original-method': 'GET' }],
  ])('rejects a request with %s', async (_, headers) => {
    expect(await ask('', headers)).toBe('400 INVALID_ARGUMENT');
  });

  test('lets a preflight pass only where the route does', async () => {
    expect(await ask('', { ...forwarded('/pages', 'OPTIONS'), ...PREFLIGHT })).toBe('200');
    expect(await ask('', { ...forwarded('/pages', 'GET'), ...PREFLIGHT }, 'OPTIONS')).toBe('401 CREDENTIALS_MISSING');
    expect(await ask('?preflight=pass', { ...forwarded('/other', 'OPTIONS'), ...PREFLIGHT })).toBe('200');
  });

  test('serves the path of the request after its own, whose query states nothing', async () => {
    const user = bearer(person.accessToken);
    expect(await ask('/public/x')).toBe('200');
    expect(await ask('/orders?access=public')).toBe('401 CREDENTIALS_MISSING');
    expect(await ask('/admin/x?y=1', user, 'PUT')).toBe('403 ROLE_NOT_GRANTED');
    expect(await ask('/pages', PREFLIGHT, 'OPTIONS')).toBe('200');
    expect(await ask('/orders', { ...user, ...forwarded('/public') })).toBe('200');
    expect(await ask('/orders', forwarded('/public'))).toBe('401 CREDENTIALS_MISSING');
    expect(await ask('/keys', bearer(apiKey))).toBe('200');
  });

  test('reads 40 KiB of headers', async () => {
    const headers = { ...forwarded('/orders'), ...bearer(person.accessToken), cookie: 'x'.repeat(8_000) };
    const large = Object.fromEntries(Array.from({ length: 4 }, (_, n) => [`x-large-${n}`, 'x'.repeat(8_000)]));
    expect(await ask('', { ...headers, ...large })).toBe('200');
  });
});

describe('an API key', () => {
  test('is rejected by Verify, CheckRole and the batches, unless the request accepts it', async () => {
    const asService = { bearer: SERVICE_KEY };
    expect((await call(auth.verify, { accessToken: apiKey })).reason).toBe('API_KEY_NOT_ACCEPTED');
    expect((await call(auth.checkRole, { accessToken: apiKey, role: 'user' })).reason).toBe('API_KEY_NOT_ACCEPTED');
    const rejected = { reason: 'REASON_API_KEY_NOT_ACCEPTED' };
    const batch = { accessTokens: [apiKey, person.accessToken, SERVICE_KEY, 'x'] };
    const { body } = await call(verifierService.batchVerify, batch, asService);
    expect(body.verdicts).toMatchObject([rejected, {}, rejected, { reason: 'REASON_TOKEN_INVALID' }]);
    const checks = [{ accessToken: apiKey, role: 'user' }];
    const { body: roles } = await call(verifierService.batchCheckRole, { checks }, asService);
    expect(roles.answers).toMatchObject([rejected]);

    const accept = { acceptApiKeys: true };
    for (let n = 0; n < 2; n += 1) {
      const verified = await call(auth.verify, { accessToken: apiKey, audience: 'shop', ...accept });
      expect(verified.body.principal).toMatchObject({ kind: 'PRINCIPAL_KIND_SERVICE', roles: ['user'] });
      expect(Date.parse(verified.body.principal.expiresAt)).toBeGreaterThan(Date.parse(verified.body.revalidateAt));
      const role = await call(auth.checkRole, { accessToken: apiKey, role: 'user', ...accept });
      expect(role.body).toMatchObject({ allowed: true });
      const many = await call(verifierService.batchVerify, { ...batch, ...accept }, asService);
      expect(many.body.verdicts[0].principal).toMatchObject({ roles: ['user'] });
      const answers = await call(verifierService.batchCheckRole, { checks, ...accept }, asService);
      expect(answers.body.answers).toMatchObject([{ allowed: true }]);
    }
    expect((await call(auth.verify, { accessToken: apiKey, audience: 'office', ...accept })).reason).toBe(
      'AUDIENCE_MISMATCH',
    );
  });

  test('that is revoked is rejected within a second', async () => {
    const key = await serviceAccount(app, `temporary-${randomUUID().slice(0, 8)}`, ['user']);
    const outcome = async () => outcomeOf(await check(requestFor('/keys', bearer(key))));
    expect(await outcome()).toBe('200');
    await app.owner.query(
      "UPDATE api_keys SET revoked_at = now() WHERE service_account_id IN (SELECT id FROM service_accounts WHERE name LIKE 'temporary-%')",
    );
    await eventually(async () => (await outcome()) === '401 TOKEN_INVALID', 1_000);
  });
});

test('a changed policy file is in use within seconds', async () => {
  const outcome = async () => outcomeOf(await check(requestFor('/later')));
  expect(await outcome()).toBe('401 CREDENTIALS_MISSING');
  writeFileSync(policyFile, 'routes: [{ path: /later, acces: public }]');
  await eventually(() => app.logs.some((line) => line.includes('the policy file was rejected')), 10_000);
  expect(await outcome()).toBe('401 CREDENTIALS_MISSING');
  writeFileSync(policyFile, `${POLICY}  - { path: /later, access: public }\n`);
  await eventually(async () => (await outcome()) === '200', 10_000);
}, 30_000);
