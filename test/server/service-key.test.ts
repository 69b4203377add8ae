// A back end that calls with the token of its user identifies itself with `x-service-key`: limits and the audit trail then use the
// address of the user, also for calls that require a user.
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { beforeAll, describe, expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import {
  account,
  admin,
  auth,
  type Caller,
  callers,
  verifierService,
  viaFetch,
  viaGrpcJs,
} from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const app = await testApp({ AUDIENCE: 'shop', LIMIT_REGISTER_NETWORK: '20/60' });
const { call } = app;
const reason = 'a test';
let person: SignedIn;
let boss: SignedIn;
beforeAll(async () => {
  person = await signedIn(call);
  boss = await signedInWith(app, call, ['admin']);
});

const ask: Caller = (method, input) => call(method, input, { bearer: boss.accessToken });

async function backEnd(...roles: string[]) {
  const name = `shop-${randomUUID().slice(0, 8)}`;
  const id: string = (await ask(admin.createServiceAccount, { name, reason })).body.serviceAccountId;
  for (const role of roles) await ask(admin.grantRole, { serviceAccountId: id, role, reason });
  const created = (await ask(admin.createApiKey, { serviceAccountId: id, name: 'a key', reason })).body;
  const token: string = (await call(auth.issueServiceToken, {}, { bearer: created.apiKey })).body.accessToken;
  return { name, key: created.apiKey as string, keyId: created.apiKeyId as string, token };
}

const named = (key: string, address = '203.0.113.7') => ({
  'x-service-key': key,
  'x-client-address': address,
  'x-client-user-agent': 'phone of Ada',
});

describe('a call with the token of a user', () => {
  test.each([
    'gRPC of Connect, HTTP/2',
    'gRPC-Web, HTTP/1.1',
    'Connect, JSON, HTTP/1.1',
    'Connect, binary, HTTP/2',
    'grpc-js',
  ])('is audited with the address of the user, over %s', async (way) => {
    const user = await signedIn(call);
    const { key, token, name } = await backEnd('latchkey.on-behalf-of');
    const via = callers(app.url)[way] as Caller;
    for (const [n, credential] of [SERVICE_KEY, key, token].entries()) {
      const headers = named(credential, `203.0.113.${n}`);
      const answer = await via(account.updateMe, { fullName: `Ada ${n}` }, { bearer: user.accessToken, headers });
      expect(answer.code).toBe('ok');
      const text = 'SELECT FROM audit_events WHERE user_id = $1 AND address = $2 AND user_agent = $3';
      const of = [user.userId, `203.0.113.${n}`, 'phone of Ada'];
      await eventually(async () => (await app.owner.query(text, of)).rowCount === 1);
    }
    const line = app.logs.find((one) => one.includes(name) && one.includes('UpdateMe')) ?? '{}';
    expect(JSON.parse(line)).toMatchObject({ client_address: '203.0.113.1', service: name, user_id: user.userId });
  });

  test('without a key ignores the address', async () => {
    const headers = { 'x-client-address': 'not even an address' };
    expect((await call(account.getMe, {}, { bearer: person.accessToken, headers })).code).toBe('ok');
  });

  test('fails with the reason of its own token', async () => {
    const headers = named(SERVICE_KEY);
    expect((await call(account.getMe, {}, { bearer: 'x'.repeat(40), headers })).reason).toBe('TOKEN_INVALID');
    expect((await call(account.getMe, {}, { headers })).reason).toBe('CREDENTIALS_MISSING');
    expect((await call(verifierService.batchVerify, { accessTokens: [] }, { headers })).reason).toBe(
      'CREDENTIALS_MISSING',
    );
  });

  test('may bring a token that is for another audience where none is required', async () => {
    const { email, password } = person;
    const other = (await call(auth.login, { email, password, audiences: ['shop'] })).body.tokens.accessToken;
    expect((await call(account.getMe, {}, { bearer: other })).reason).toBe('AUDIENCE_MISMATCH');
    for (const headers of [named(SERVICE_KEY), { 'x-client-address': '203.0.113.7' }]) {
      expect((await call(auth.login, { email, password }, { bearer: other, headers })).code).toBe('ok');
    }
    expect((await call(auth.verify, { audience: 'shop' }, { bearer: other, headers: named(SERVICE_KEY) })).code).toBe(
      'ok',
    );
  });

  test('for AdminService is denied and audited with the address of the user', async () => {
    const headers = named(SERVICE_KEY, '203.0.113.99');
    const denied = await call(admin.listRoles, {}, { bearer: person.accessToken, headers });
    expect(denied.reason).toBe('PERMISSION_DENIED');
    const { rowCount } = await app.owner.query(
      "SELECT 1 FROM outbox WHERE payload::text LIKE '%permission_denied%' AND payload::text LIKE '%203.0.113.99%'",
    );
    expect(rowCount).toBe(1);
  });
});

test('limits by network count the users that a back end names, without a token', async () => {
  const register = (address: string) => call(auth.register, newPerson(), { headers: named(SERVICE_KEY, address) });
  const outcomes = [];
  for (let n = 0; n < 22; n += 1) outcomes.push((await register(`198.51.${n}.1`)).code);
  expect(new Set(outcomes)).toEqual(new Set(['ok']));
  for (let n = 0; n < 22; n += 1) outcomes.push((await register('192.0.2.1')).reason);
  expect(outcomes.filter((one) => one === 'RATE_LIMITED').length).toBe(2);
});

describe('an invalid key fails the call', () => {
  const LONG = 'x'.repeat(4_000);
  test.each([
    ['empty', ''],
    ['unknown', 'x'.repeat(40)],
    ['with a scheme', `Bearer ${SERVICE_KEY}`],
    ['cut', SERVICE_KEY.slice(0, -1)],
    ['an unknown API key', `lka_${'A'.repeat(43)}`],
    ['very long', LONG],
    ['Latin-1', 'ÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿ'],
  ])('that is %s', async (_, key) => {
    const headers = { 'x-service-key': key };
    const { accessToken: bearer, email, password } = person;
    const calls = [
      call(account.getMe, {}, { bearer, headers }),
      call(auth.login, { email, password }, { headers }),
      call(auth.verify, { accessToken: bearer }, { headers }),
      call(verifierService.batchVerify, { accessTokens: [bearer] }, { bearer: SERVICE_KEY, headers }),
      call(admin.listRoles, {}, { bearer: boss.accessToken, headers }),
    ];
    for (const outcome of await Promise.all(calls)) {
      expect(outcome).toMatchObject({ code: 'unauthenticated', reason: 'SERVICE_KEY_INVALID' });
      if (key !== '') expect(JSON.stringify(outcome)).not.toContain(key);
    }
    expect(app.logs.join()).not.toContain(key === '' ? SERVICE_KEY : key);
  });

  test('that is the token of a user, over gRPC too', async () => {
    for (const way of [call, viaGrpcJs(app.url)]) {
      const headers = named(boss.accessToken);
      expect(await way(account.getMe, {}, { bearer: person.accessToken, headers })).toMatchObject({
        code: 'unauthenticated',
        reason: 'SERVICE_KEY_INVALID',
      });
    }
  });

  test('that was revoked, within a second', async () => {
    const { key, keyId } = await backEnd('latchkey.on-behalf-of');
    const answer = () => call(account.getMe, {}, { bearer: person.accessToken, headers: named(key) });
    expect((await answer()).code).toBe('ok');
    expect((await ask(admin.revokeApiKey, { apiKeyId: keyId, reason })).code).toBe('ok');
    await eventually(async () => (await answer()).reason === 'SERVICE_KEY_INVALID', 1_000);
  });
});

test('a back end without the role may identify itself, and name no client', async () => {
  const { key, name } = await backEnd();
  const { accessToken: bearer } = person;
  expect((await call(account.getMe, {}, { bearer, headers: { 'x-service-key': key } })).code).toBe('ok');
  expect(app.logs.some((line) => line.includes(name))).toBe(true);
  const denied = await call(account.getMe, {}, { bearer, headers: named(key) });
  expect(denied).toMatchObject({
    reason: 'PERMISSION_DENIED',
    message: expect.stringContaining('latchkey.on-behalf-of'),
  });
  const invalid = await call(account.getMe, {}, { bearer, headers: named(SERVICE_KEY, 'nowhere') });
  expect(invalid).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: ['x-client-address'] });
});

describe('ambiguous credentials are rejected', () => {
  function reasonWith(headers: http.OutgoingHttpHeaders): Promise<string> {
    return new Promise((resolve, reject) => {
      const url = `${app.url}/latchkey.auth.v1.AccountService/GetMe`;
      const all = { 'content-type': 'application/json', authorization: `Bearer ${person.accessToken}`, ...headers };
      const request = http.request(url, { method: 'POST', headers: all }, async (response) => {
        const body = Buffer.concat(await response.toArray()).toString();
        resolve(
          /CREDENTIALS_AMBIGUOUS/.test(Buffer.from(JSON.parse(body).details?.[0]?.value ?? '', 'base64').toString())
            ? 'ambiguous'
            : body,
        );
      });
      request.on('error', reject).end('{}');
    });
  }

  test.each([
    ['two headers', [SERVICE_KEY, SERVICE_KEY]],
    ['an empty one last', [SERVICE_KEY, '']],
    ['an empty one first', ['', SERVICE_KEY]],
    ['an invalid one first', ['x', SERVICE_KEY]],
    ['two values in one', [`${SERVICE_KEY}, ${SERVICE_KEY}`]],
    ['a comma', [`${SERVICE_KEY},`]],
  ])('with %s', async (_, values) => {
    expect(await reasonWith({ 'x-service-key': values })).toBe('ambiguous');
  });

  test('with a service in both headers', async () => {
    const { key, token } = await backEnd('latchkey.on-behalf-of');
    for (const bearer of [SERVICE_KEY, key, token]) {
      for (const headers of [{ 'x-service-key': SERVICE_KEY }, named(token)]) {
        expect((await call(auth.register, newPerson(), { bearer, headers })).reason).toBe('CREDENTIALS_AMBIGUOUS');
      }
    }
  });
});

test('a burst of calls with invalid keys leaves the service available', async () => {
  const hostile = viaFetch(app.url);
  const burst = Array.from({ length: 300 }, (_, n) =>
    hostile(
      account.getMe,
      {},
      { bearer: person.accessToken, headers: { 'x-service-key': `lka_${n}${'B'.repeat(40)}`.slice(0, 47) } },
    ),
  );
  const reasons = new Set((await Promise.all(burst)).map(({ reason: one }) => one));
  for (const one of reasons) expect(['SERVICE_KEY_INVALID', 'OVERLOADED']).toContain(one);
  expect((await call(account.getMe, {}, { bearer: person.accessToken, headers: named(SERVICE_KEY) })).code).toBe('ok');
});
