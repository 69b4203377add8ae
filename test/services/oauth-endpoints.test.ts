// /oauth/introspect (RFC 7662), /oauth/revoke (RFC 7009) and the scope of /oauth/token, with a real OAuth client and by
// hand.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { decodeJwt } from 'jose';
import * as openid from 'openid-client';
import { beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { admin, auth, verifierService } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const port = await freePort();
const issuer = `http://127.0.0.1:${port}`;
const app = await testApp({ PORT: String(port), ISSUER: issuer, AUDIENCE: 'shop,https://api.example/v1' });
const { call } = app;
const reason = 'a test';

type Robot = { name: string; id: string; keyId: string; key: string };
type Form = Record<string, string> | string;

let boss: SignedIn;
let robot: Robot;

async function newRobot(roles: string[]): Promise<Robot> {
  const ask = { bearer: boss.accessToken };
  const name = `robot-${randomUUID().slice(0, 8)}`;
  const { body: account } = await call(admin.createServiceAccount, { name, description: '', reason }, ask);
  const id = account.serviceAccountId as string;
  for (const role of roles) await call(admin.grantRole, { serviceAccountId: id, role, reason }, ask);
  const { body } = await call(admin.createApiKey, { serviceAccountId: id, name: 'a key', reason }, ask);
  return { name, id, keyId: body.apiKeyId, key: body.apiKey };
}

beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
  for (const [role, implies] of [
    ['shop.read', []],
    ['shop.write', ['shop.read']],
  ] as const) {
    const definition = { name: role, description: '', implies: [...implies], granter: 'admin' };
    expect((await call(admin.defineRole, { role: definition, reason }, { bearer: boss.accessToken })).code).toBe('ok');
  }
  boss = await signedInWith(app, call, ['admin']);
  robot = await newRobot(['shop.write']);
});

const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

async function post(path: string, form: Form, authorization = basic(robot.name, robot.key)) {
  const response = await fetch(`${app.url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      ...(authorization !== '' && { authorization }),
    },
    body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
  });
  const text = await response.text();
  const body = text === '' ? null : JSON.parse(text);
  return { status: response.status, body, text, headers: response.headers };
}
const introspect = async (token: string) => (await post('/oauth/introspect', { token })).body;
const INACTIVE = { active: false };

async function configuration(): Promise<openid.Configuration> {
  return openid.discovery(new URL(issuer), robot.name, robot.key, undefined, {
    execute: [openid.allowInsecureRequests],
  });
}

describe('openid-client', () => {
  test('obtains, introspects and revokes tokens', async () => {
    const client = await configuration();
    const granted = await openid.clientCredentialsGrant(client, {
      scope: 'shop.read',
      resource: 'https://api.example/v1',
    });
    expect(granted).toMatchObject({ token_type: 'bearer', scope: 'shop.read' });
    expect(await openid.tokenIntrospection(client, granted.access_token)).toMatchObject({
      active: true,
      client_id: robot.name,
      sub: robot.id,
      scope: 'shop.read',
      aud: ['https://api.example/v1'],
    });
    const person = await signedIn(call);
    expect((await openid.tokenIntrospection(client, person.accessToken)).active).toBe(true);
    await openid.tokenRevocation(client, person.refreshToken);
    expect((await openid.tokenIntrospection(client, person.accessToken)).active).toBe(false);
  });

  test('receives the error of a request at fault', async () => {
    const client = await configuration();
    await expect(openid.clientCredentialsGrant(client, { scope: 'admin' })).rejects.toMatchObject({
      error: 'invalid_scope',
      status: 400,
    });
    await expect(openid.clientCredentialsGrant(client, { resource: 'https://other.example' })).rejects.toMatchObject({
      error: 'invalid_target',
    });
    const stranger = new openid.Configuration(client.serverMetadata(), robot.name, 'a wrong secret');
    openid.allowInsecureRequests(stranger);
    await expect(openid.tokenIntrospection(stranger, 'x')).rejects.toMatchObject({ status: 401 });
  });
});

describe('introspection', () => {
  test('returns the claims of a user’s access token', async () => {
    const person = await signedIn(call);
    const claims = decodeJwt(person.accessToken);
    const { status, body, headers } = await post('/oauth/introspect', { token: person.accessToken });
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    const { iss, sub, aud, exp, iat, jti, sid } = claims;
    expect(body).toEqual({
      ...{ active: true, token_type: 'Bearer', client_id: 'latchkey', scope: 'user', roles: ['user'] },
      ...{ iss, sub, aud, exp, iat, jti, sid, email: person.email, email_verified: false },
      ...{ acr: 'pwd', amr: ['pwd'], auth_time: iat },
    });
    expect(sub).toBe(person.userId);
  });

  test('returns the claims of a service’s access token and of its API key', async () => {
    const { body: token } = await post('/oauth/token', { grant_type: 'client_credentials' });
    const { exp, iat, jti } = decodeJwt(token.access_token);
    const service = {
      ...{ active: true, token_type: 'Bearer', iss: issuer, sub: robot.id, client_id: robot.name, sid: robot.keyId },
      ...{ scope: 'shop.read shop.write', roles: ['shop.read', 'shop.write'] },
      aud: ['shop', 'https://api.example/v1', 'latchkey'],
    };
    expect(await introspect(token.access_token)).toEqual({ ...service, exp, iat, jti });
    const { exp: keyExpiry, ...ofKey } = await introspect(robot.key);
    expect(ofKey).toEqual(service);
    expect(keyExpiry).toBeGreaterThan(Date.now() / 1000 + 300 * 86_400);
  });

  test('returns the same bytes for every other token', async () => {
    const person = await signedIn(call);
    const ended = await signedIn(call);
    await call(auth.logout, { refreshToken: ended.refreshToken });
    const bytes = new Set<string>();
    for (const token of [
      person.refreshToken,
      ended.accessToken,
      ended.refreshToken,
      SERVICE_KEY,
      `${person.accessToken}x`,
      person.accessToken.replace(/\.[^.]+$/, '.AAAA'),
      `lka_${'x'.repeat(43)}`,
      'x',
      '\0',
      '.'.repeat(7_000),
      'ﷺ'.repeat(100),
    ]) {
      const { status, text } = await post('/oauth/introspect', { token });
      expect(status).toBe(200);
      bytes.add(text);
    }
    expect([...bytes]).toEqual(['{"active":false}']);
  });

  test('is inactive within a second after the end of a session, a change of roles, or the end of a key', async () => {
    const [left, changed, other] = [await signedIn(call), await signedIn(call), await newRobot([])];
    await call(auth.logout, { refreshToken: left.refreshToken });
    await call(admin.grantRole, { userId: changed.userId, role: 'shop.read', reason }, { bearer: boss.accessToken });
    expect(await introspect(left.accessToken)).toEqual(INACTIVE);
    expect(await introspect(changed.accessToken)).toEqual(INACTIVE);
    expect((await introspect(other.key)).active).toBe(true);
    await call(admin.revokeApiKey, { apiKeyId: other.keyId, reason }, { bearer: boss.accessToken });
    await eventually(async () => (await introspect(other.key)).active === false, 1_000);
  });

  test('ignores the hint', async () => {
    const { accessToken } = await signedIn(call);
    for (const hint of ['access_token', 'refresh_token', 'x', '']) {
      expect((await post('/oauth/introspect', { token: accessToken, token_type_hint: hint })).body.active).toBe(true);
    }
  });
});

describe('revocation', () => {
  const revoke = (token: string, more = {}) => post('/oauth/revoke', { token, ...more });

  test.each(['refreshToken', 'accessToken'] as const)('ends the session of the %s everywhere', async (kind) => {
    const person = await signedIn(call);
    const again = await signedIn(call, person);
    const { status, body } = await revoke(person[kind]);
    expect([status, body]).toEqual([200, {}]);
    expect(await isAccepted(call, person.accessToken)).toBe(false);
    expect((await call(auth.refresh, { refreshToken: person.refreshToken })).reason).toBe('SESSION_ENDED');
    // Other sessions of the user stay.
    expect(await isAccepted(call, again.accessToken)).toBe(true);
    const events = await eventually(async () => {
      const { rows } = await app.owner.query(
        "SELECT session_id FROM audit_events WHERE type = 'logged_out' AND session_id = $1",
        [decodeJwt(person.accessToken).sid],
      );
      return rows.length > 0 ? rows : null;
    });
    expect(events).toHaveLength(1);
  });

  test('ends the session of a token with former roles', async () => {
    const person = await signedIn(call);
    await call(admin.grantRole, { userId: person.userId, role: 'shop.read', reason }, { bearer: boss.accessToken });
    expect((await call(auth.verify, { accessToken: person.accessToken })).reason).toBe('TOKEN_STALE');
    expect((await revoke(person.accessToken)).status).toBe(200);
    expect((await call(auth.refresh, { refreshToken: person.refreshToken })).reason).toBe('SESSION_ENDED');
  });

  test('succeeds for an unknown, invalid or revoked token', async () => {
    const person = await signedIn(call);
    for (const token of ['x', '\0', `lkr_${'A'.repeat(70)}`, `${person.accessToken}x`, SERVICE_KEY]) {
      expect((await revoke(token, { token_type_hint: 'refresh_token' })).status).toBe(200);
    }
    for (let n = 0; n < 3; n += 1) expect((await revoke(person.refreshToken)).status).toBe(200);
    expect((await revoke(person.accessToken)).status).toBe(200);
  });

  test('is not supported for a service’s token, an API key, or a token that Latchkey itself rejects', async () => {
    const { body: token } = await post('/oauth/token', { grant_type: 'client_credentials' });
    const person = await signedIn(call);
    const { body } = await call(auth.refresh, { refreshToken: person.refreshToken, audiences: ['shop'] });
    for (const one of [token.access_token, robot.key, body.tokens.accessToken]) {
      expect(await revoke(one)).toMatchObject({ status: 400, body: { error: 'unsupported_token_type' } });
    }
    for (const accessToken of [token.access_token, body.tokens.accessToken]) {
      expect((await call(auth.verify, { accessToken })).code).toBe('ok');
    }
    expect((await introspect(robot.key)).active).toBe(true);
  });

  test('succeeds for one token many times at once', async () => {
    const { accessToken } = await signedIn(call);
    const answers = await Promise.all(Array.from({ length: 20 }, () => revoke(accessToken)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });
});

describe.each(['/oauth/introspect', '/oauth/revoke'])('%s', (path) => {
  test('accepts the credentials of a service in each place', async () => {
    const { body } = await post('/oauth/token', { grant_type: 'client_credentials' });
    const token = 'x';
    const ways: [Form, string][] = [
      [{ token }, basic(robot.name, robot.key)],
      [{ token }, basic(robot.id, robot.key)],
      [{ token }, basic('gateway', SERVICE_KEY)],
      [{ token }, basic(robot.name, body.access_token)],
      [{ token, client_id: robot.name, client_secret: robot.key }, ''],
      [{ token, client_id: 'gateway', client_secret: SERVICE_KEY }, ''],
      [{ token, client_id: robot.name }, basic(robot.name, robot.key)],
      [{ token }, `Bearer ${robot.key}`],
      [{ token }, `bearer ${SERVICE_KEY}`],
      [{ token }, `Bearer ${body.access_token}`],
      [{ token, client_id: robot.name }, `Bearer ${body.access_token}`],
      [{ token }, `Bearer ${boss.accessToken}`],
    ];
    for (const [form, authorization] of ways) {
      expect([authorization, (await post(path, form, authorization)).status]).toEqual([authorization, 200]);
    }
  });

  test('rejects every other caller, and reveals nothing', async () => {
    const person = await signedIn(call);
    const token = person.accessToken;
    const ways: [Form, string, string][] = [
      [{ token }, '', 'invalid_client'],
      [{ token, client_id: robot.name }, '', 'invalid_client'],
      [{ token, client_id: robot.name, client_secret: 'x' }, '', 'invalid_client'],
      [{ token, client_id: 'gateway', client_secret: robot.key }, '', 'invalid_client'],
      [{ token, client_id: robot.name, client_secret: SERVICE_KEY }, '', 'invalid_client'],
      [{ token }, basic(robot.name, 'x'), 'invalid_client'],
      [{ token }, basic('other', robot.key), 'invalid_client'],
      [{ token }, basic('', ''), 'invalid_client'],
      [{ token }, basic('x', '\0'), 'invalid_client'],
      [{ token }, 'Basic', 'invalid_client'],
      [{ token }, 'Digest x', 'invalid_client'],
      [{ token }, `Bearer ${token}`, 'invalid_token'],
      [{ token }, 'Bearer x', 'invalid_token'],
      [{ token }, `Bearer ${person.refreshToken}`, 'invalid_token'],
      [{ token, client_id: 'other' }, `Bearer ${robot.key}`, 'invalid_token'],
    ];
    for (const [form, authorization, error] of ways) {
      const { status, body, headers } = await post(path, form, authorization);
      expect([authorization, status, body.error]).toEqual([authorization, 401, error]);
      const scheme =
        error === 'invalid_token' ? 'Bearer realm="latchkey", error="invalid_token"' : 'Basic realm="latchkey"';
      expect(headers.get('www-authenticate')).toBe(scheme);
    }
    expect(await isAccepted(call, token)).toBe(true);
  });

  test.each<[string, Form]>([
    ['no token', {}],
    ['an empty token', { token: '' }],
    ['a repeated token', 'token=x&token=y'],
    ['the secret twice', { token: 'x', client_secret: 'x' }],
    ['two clients', { token: 'x', client_id: 'other' }],
    ['many fields', `token=x${'&a=1'.repeat(32)}`],
    ['a large form', { token: 'x'.repeat(9_000) }],
  ])('rejects a form with %s', async (_, form) => {
    expect(await post(path, form)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });

  test('reads the form of POST alone', async () => {
    const authorization = basic(robot.name, robot.key);
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const response = await fetch(`${app.url}${path}?token=x`, { method, headers: { authorization } });
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
    }
    const json = await fetch(`${app.url}${path}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '{"token":"x"}',
    });
    expect(await json.json()).toMatchObject({ error: 'invalid_request' });
  });

  test('rejects a wrong secret in the header before the body has arrived', async () => {
    const request = http.request(`${app.url}${path}`, {
      method: 'POST',
      headers: {
        authorization: basic('x', 'y'),
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': '100',
      },
    });
    request.flushHeaders();
    const [response] = await once(request, 'response');
    request.on('error', () => {}).destroy();
    expect(response.statusCode).toBe(401);
  });
});

describe('the scope of /oauth/token', () => {
  const grant = { grant_type: 'client_credentials' };
  const rolesOf = (token: string) => decodeJwt(token).roles;

  test.each([
    ['nothing', '', ['shop.read', 'shop.write']],
    ['all roles', 'shop.write shop.read', ['shop.read', 'shop.write']],
    ['a role', 'shop.read', ['shop.read']],
    ['a role twice', 'shop.read shop.read', ['shop.read']],
    ['a role that implies another', 'shop.write', ['shop.read', 'shop.write']],
  ])('is the roles of the token: %s', async (_, scope, roles) => {
    const { body } = await post('/oauth/token', { ...grant, scope });
    expect([body.scope, rolesOf(body.access_token)]).toEqual([roles.join(' '), roles]);
    const allowed = await call(auth.checkRole, { accessToken: body.access_token, role: 'shop.write' });
    expect(allowed.body.allowed === true).toBe(roles.includes('shop.write'));
  });

  test('is omitted for a service without roles', async () => {
    const plain = await newRobot([]);
    const { body } = await post('/oauth/token', grant, basic(plain.name, plain.key));
    expect(Object.keys(body)).toEqual(['access_token', 'token_type', 'expires_in']);
    expect(rolesOf(body.access_token)).toEqual([]);
  });

  test.each([
    'admin',
    'shop.read admin',
    'no-such-role',
    'SHOP.READ',
    ' shop.read',
    'shop.read  shop.write',
    'shop.read,shop.write',
  ])('can hold only roles of the service: %s', async (scope) => {
    expect(await post('/oauth/token', { ...grant, scope })).toMatchObject({
      status: 400,
      body: { error: 'invalid_scope' },
    });
  });

  test('makes a token that becomes stale when the role changes', async () => {
    const { body } = await post('/oauth/token', { ...grant, scope: 'shop.read' });
    const accessToken = body.access_token;
    await call(
      admin.revokeRole,
      { serviceAccountId: robot.id, role: 'shop.write', reason },
      { bearer: boss.accessToken },
    );
    expect((await call(auth.verify, { accessToken })).reason).toBe('TOKEN_STALE');
    await call(
      admin.grantRole,
      { serviceAccountId: robot.id, role: 'shop.write', reason },
      { bearer: boss.accessToken },
    );
  });
});

test('calls are logged and counted without their tokens', async () => {
  const { accessToken, refreshToken } = await signedIn(call);
  await post('/oauth/introspect', { token: accessToken });
  await post('/oauth/revoke', { token: refreshToken });
  const line = await eventually(async () => app.logs.find((one) => one.includes('"oauth/revoke"')));
  expect(JSON.parse(line)).toMatchObject({ method: 'oauth/revoke', code: expect.any(String) });
  for (const secret of [accessToken, refreshToken, robot.key]) {
    expect(app.logs.filter((one) => one.includes(secret))).toEqual([]);
  }
  expect((await call(verifierService.batchVerify, { accessTokens: ['x'] }, { bearer: robot.key })).code).toBe('ok');
});
