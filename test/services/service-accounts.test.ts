import { randomUUID } from 'node:crypto';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createLatchkey } from '../../src/client/client.ts';
import { startTestApp, testApp } from '../support/app.ts';
import { account, admin, auth, type Caller, verifierService, viaFetch, viaGrpcJs } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const app = await testApp({ AUDIENCE: 'shop,https://api.example/v1' });
const { call } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

const reason = 'a test';
const ask: Caller = (method, input) => call(method, input, { bearer: boss.accessToken });
const named = () => `robot-${randomUUID().slice(0, 8)}`;

type Robot = { name: string; id: string; keyId: string; key: string };

async function robot(roles: string[] = [], more: object = {}): Promise<Robot> {
  const name = named();
  const created = await ask(admin.createServiceAccount, { name, description: 'of a test', reason });
  const id = created.body.serviceAccountId;
  for (const role of roles) await ask(admin.grantRole, { serviceAccountId: id, role, reason });
  const { body } = await ask(admin.createApiKey, { serviceAccountId: id, name: 'a key', reason, ...more });
  return { name, id, keyId: body.apiKeyId, key: body.apiKey };
}

async function tokenOf({ key }: Robot): Promise<string> {
  const { body, code } = await call(auth.issueServiceToken, {}, { bearer: key });
  expect(code).toBe('ok');
  return body.accessToken;
}

describe('a service account', () => {
  test('is created, listed and has a unique name', async () => {
    const { name, id } = await robot(['user']);
    const { body } = await ask(admin.listServiceAccounts, { pageSize: 100 });
    expect(body.serviceAccounts.find((one: Robot) => one.id === id)).toMatchObject({
      ...{ name, description: 'of a test', createdBy: `user:${boss.userId}`, roles: ['user'] },
      grants: [{ role: 'user', reason }],
    });
    const again = await ask(admin.createServiceAccount, { name, reason });
    expect(again).toMatchObject({ code: 'already_exists', reason: 'SERVICE_NAME_TAKEN' });
    for (const bad of ['', 'latchkey', 'Robot', 'x'.repeat(64), '-x']) {
      expect((await ask(admin.createServiceAccount, { name: bad, reason })).fields, bad).toEqual(['name']);
    }
  });

  test('is found page by page, by name, with its grants', async () => {
    for (const roles of [['user'], [], ['admin']]) await robot(roles);
    const found: { name: string; roles: string[]; grants: { role: string }[] }[] = [];
    let pageToken = '';
    do {
      const { body } = await ask(admin.listServiceAccounts, { pageSize: 2, pageToken });
      found.push(...body.serviceAccounts);
      pageToken = body.nextPageToken;
    } while (pageToken !== '');
    const { rows } = await app.owner.query('SELECT name FROM service_accounts ORDER BY name COLLATE "C"');
    expect(found.map(({ name }) => name)).toEqual(rows.map(({ name }) => name));
    for (const { roles, grants } of found) {
      expect(roles.filter((role) => role !== 'user')).toEqual(
        grants.map(({ role }) => role).filter((role) => role !== 'user'),
      );
    }
    expect((await ask(admin.listServiceAccounts, { pageSize: 101, pageToken: 'x' })).fields).toEqual([
      'page_size',
      'page_token',
    ]);
  });

  test('that does not exist cannot be administered', async () => {
    const serviceAccountId = randomUUID();
    const methods = [
      admin.disableServiceAccount,
      admin.enableServiceAccount,
      admin.deleteServiceAccount,
      admin.listApiKeys,
      admin.createApiKey,
    ];
    for (const method of methods) {
      const { fields } = method.input;
      const input = { serviceAccountId, ...(fields.some(({ name }) => name === 'reason') && { reason }) };
      const named = fields.some((field) => field.name === 'name') ? { name: 'x' } : {};
      expect((await ask(method, { ...input, ...named })).reason).toBe('SERVICE_ACCOUNT_NOT_FOUND');
      expect((await ask(method, { ...input, ...named, serviceAccountId: 'x' })).fields).toEqual(['service_account_id']);
    }
    expect((await ask(admin.grantRole, { serviceAccountId, role: 'user', reason })).reason).toBe(
      'SERVICE_ACCOUNT_NOT_FOUND',
    );
    const both = await ask(admin.grantRole, { serviceAccountId, userId: boss.userId, role: 'user', reason });
    expect(both.fields).toEqual(['service_account_id']);
    expect((await ask(admin.revokeApiKey, { apiKeyId: randomUUID(), reason })).reason).toBe('API_KEY_NOT_FOUND');
  });

  test('has no keys created by administrators who cannot grant its roles', async () => {
    const root = `root-${randomUUID().slice(0, 8)}`;
    await app.owner.query("INSERT INTO roles (name, description) VALUES ($1, '')", [root]);
    await app.owner.query('UPDATE roles SET granter = name WHERE name = $1', [root]);
    const mighty = await robot();
    await app.owner.query('INSERT INTO service_account_roles VALUES ($1, $2, now())', [mighty.id, root]);
    const input = { serviceAccountId: mighty.id, name: 'mine', reason };
    expect((await ask(admin.createApiKey, input)).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await ask(admin.revokeApiKey, { apiKeyId: mighty.keyId, reason })).reason).toBe('GRANT_NOT_ALLOWED');
    for (const method of [admin.disableServiceAccount, admin.deleteServiceAccount]) {
      expect((await ask(method, { serviceAccountId: mighty.id, reason })).reason).toBe('GRANT_NOT_ALLOWED');
    }
  });
});

describe('an API key', () => {
  test('is shown once, kept as a hash, and in no log', async () => {
    const { key, keyId, id } = await robot();
    expect(key).toMatch(/^lka_[\w-]{43}$/);
    await call(auth.issueServiceToken, {}, { bearer: key });
    const { body } = await ask(admin.listApiKeys, { serviceAccountId: id });
    expect(body.apiKeys).toMatchObject([{ id: keyId, name: 'a key', createdBy: `user:${boss.userId}` }]);
    expect(JSON.stringify(body)).not.toContain(key);
    const { rows } = await app.owner.query('SELECT k::text AS row FROM api_keys AS k');
    expect(rows.some(({ row }) => row.includes(key))).toBe(false);
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    const events = await app.owner.query('SELECT e::text AS row FROM audit_events AS e');
    expect(events.rows.some(({ row }) => row.includes(key))).toBe(false);
    expect(app.logs.some((line) => line.includes(key))).toBe(false);
  });

  test('is accepted wherever a service key is required, and for what its roles allow', async () => {
    const [plain, chief, person] = [await robot(), await robot(['admin']), await signedIn(call)];
    const checkRole = (bearer: string) =>
      call(auth.checkRole, { accessToken: person.accessToken, role: 'user' }, { bearer });
    const batch = { accessTokens: [person.accessToken] };
    for (const { key } of [plain, chief]) {
      expect((await checkRole(key)).body).toMatchObject({ allowed: true });
      for (let n = 0; n < 2; n += 1) {
        expect((await call(verifierService.batchVerify, batch, { bearer: key })).body.verdicts).toHaveLength(1);
      }
      expect((await call(account.getMe, {}, { bearer: key })).reason).toBe('PERMISSION_DENIED');
    }
    expect((await call(admin.listRoles, {}, { bearer: plain.key })).reason).toBe('PERMISSION_DENIED');
    const renamed = await call(admin.disableUser, { userId: person.userId, reason }, { bearer: chief.key });
    expect(renamed.code).toBe('ok');
    const events = await eventually(async () => {
      const { rows } = await app.owner.query("SELECT actor FROM audit_events WHERE type = 'user_disabled'");
      return rows.length > 0 ? rows : null;
    });
    expect(events).toEqual([{ actor: `service:${chief.name}` }]);
  });

  test.each(['lka_', `lka_${'x'.repeat(43)}`, `lka_${'x'.repeat(44)}`, `LKA_${'x'.repeat(43)}`])(
    'that does not exist (%s) is rejected',
    async (bearer) => {
      expect((await call(auth.issueServiceToken, {}, { bearer })).reason).toBe('TOKEN_INVALID');
    },
  );

  test('is rejected within a second after it is revoked, or its account is disabled or deleted, and when it expires', async () => {
    const ends: [string, (of: Robot) => Promise<unknown>][] = [
      ['revoked', ({ keyId }) => ask(admin.revokeApiKey, { apiKeyId: keyId, reason })],
      ['disabled', ({ id }) => ask(admin.disableServiceAccount, { serviceAccountId: id, reason })],
      ['deleted', ({ id }) => ask(admin.deleteServiceAccount, { serviceAccountId: id, reason })],
    ];
    for (const [what, end] of ends) {
      const one = await robot();
      const accessToken = await tokenOf(one);
      await end(one);
      const verified = await call(auth.verify, { accessToken });
      expect([what, verified.reason]).toEqual([what, 'TOKEN_REVOKED']);
      const key = () => call(auth.issueServiceToken, {}, { bearer: one.key });
      await eventually(async () => (await key()).reason === 'TOKEN_INVALID', 1_000);
      if (what === 'revoked') {
        expect((await ask(admin.revokeApiKey, { apiKeyId: one.keyId, reason })).reason).toBe('API_KEY_NOT_FOUND');
      }
      if (what === 'disabled') {
        await ask(admin.enableServiceAccount, { serviceAccountId: one.id, reason });
        expect((await key()).code).toBe('ok');
        expect((await call(auth.verify, { accessToken })).reason).toBe('TOKEN_REVOKED');
      }
    }
    const expiresAt = new Date(Date.now() + 120_000).toISOString();
    const short = await robot([], { expiresAt });
    const { body } = await call(auth.issueServiceToken, {}, { bearer: short.key });
    expect(Date.parse(body.expiresAt)).toBeLessThanOrEqual(Date.parse(expiresAt));
    expect(
      (
        await ask(admin.createApiKey, {
          serviceAccountId: short.id,
          name: 'x',
          reason,
          expiresAt: '2020-01-01T00:00:00Z',
        })
      ).fields,
    ).toEqual(['expires_at']);
  });

  test('has the time of its last use', async () => {
    const one = await robot();
    const lastUsed = async () =>
      (await ask(admin.listApiKeys, { serviceAccountId: one.id })).body.apiKeys[0].lastUsedAt;
    expect(await lastUsed()).toBeUndefined();
    await tokenOf(one);
    expect(Math.abs(Date.parse(await lastUsed()) - Date.now())).toBeLessThan(10_000);
  });
});

describe('a service’s token', () => {
  test('identifies the service at every endpoint', async () => {
    const one = await robot(['user']);
    const accessToken = await tokenOf(one);
    const principal = { kind: 'PRINCIPAL_KIND_SERVICE', serviceAccountId: one.id, service: one.name, roles: ['user'] };
    for (const way of [call, viaGrpcJs(app.url)]) {
      const { body } = await way(auth.verify, { accessToken });
      expect(body.principal).toMatchObject({ ...principal, userId: '', sessionId: '', email: '' });
    }
    const batch = await call(verifierService.batchVerify, { accessTokens: [accessToken] }, { bearer: one.key });
    expect(batch.body.verdicts[0].principal).toMatchObject(principal);
    expect((await call(auth.checkRole, { accessToken, role: 'user' })).body.allowed).toBe(true);
    const authorization = `Bearer ${accessToken}`;
    const forward = await fetch(`${app.url}/forward-auth?role=user`, { headers: { authorization } });
    expect(forward.status).toBe(200);
    expect(Object.fromEntries(forward.headers)).toMatchObject({
      ...{ 'x-auth-service': one.name, 'x-auth-user-id': '', 'x-auth-session-id': '', 'x-auth-roles': 'user' },
      ...{ 'x-auth-email': '', 'x-auth-email-verified': '' },
    });
    const latchkey = createLatchkey({ url: app.url, serviceKey: one.key });
    onTestFinished(() => latchkey.close());
    await latchkey.ready();
    expect(await latchkey.verify(accessToken)).toMatchObject({
      kind: 'service',
      name: one.name,
      serviceAccountId: one.id,
    });
    const jwks = createRemoteJWKSet(new URL(`${app.url}/.well-known/jwks.json`));
    const { payload } = await jwtVerify(accessToken, jwks, { typ: 'at+jwt' });
    expect(payload).toMatchObject({ sub: one.id, sid: one.keyId, client_id: one.name, roles: ['user'] });
    expect(payload.email).toBeUndefined();
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(300);
  });

  test('is the credential of a service, and cannot be exchanged for another token or used as a user', async () => {
    const one = await robot();
    const bearer = await tokenOf(one);
    const batch = { accessTokens: [bearer] };
    expect((await call(verifierService.batchVerify, batch, { bearer })).code).toBe('ok');
    expect((await call(auth.issueServiceToken, {}, { bearer })).reason).toBe('PERMISSION_DENIED');
    expect((await call(account.getMe, {}, { bearer })).reason).toBe('PERMISSION_DENIED');
    expect((await call(auth.issueServiceToken, {}, { bearer: boss.accessToken })).reason).toBe('PERMISSION_DENIED');
  });

  test('is stale when the roles of the service or their definitions change', async () => {
    const one = await robot();
    const before = await tokenOf(one);
    await ask(admin.grantRole, { serviceAccountId: one.id, role: 'user', reason });
    expect((await call(auth.verify, { accessToken: before })).reason).toBe('TOKEN_STALE');
    const role = `role-${randomUUID().slice(0, 8)}`;
    await ask(admin.defineRole, { role: { name: role }, reason });
    await ask(admin.grantRole, { serviceAccountId: one.id, role, reason });
    const held = await tokenOf(one);
    expect((await call(auth.verify, { accessToken: held })).body.principal.roles).toEqual([role, 'user'].toSorted());
    await ask(admin.defineRole, { role: { name: role, implies: ['user'] }, reason });
    expect((await call(auth.verify, { accessToken: held })).reason).toBe('TOKEN_STALE');
    expect((await ask(admin.deleteRole, { name: role, reason })).reason).toBe('ROLE_IN_USE');
  });

  test('is checked in Postgres when the view is too old, and is never accepted with more roles', async () => {
    const old = await startTestApp({
      REVOCATION_MAX_AGE_MS: '100',
      REVOCATION_POLL_MS: '5000',
      DATABASE_LISTEN_URL: 'none',
    });
    onTestFinished(() => old.close());
    const askOld = viaFetch(old.url);
    const chief = await signedInWith(old, askOld, ['admin']);
    const id = (await askOld(admin.createServiceAccount, { name: 'robot', reason }, { bearer: chief.accessToken })).body
      .serviceAccountId;
    const { body } = await askOld(
      admin.createApiKey,
      { serviceAccountId: id, name: 'x', reason },
      { bearer: chief.accessToken },
    );
    const { accessToken } = (await askOld(auth.issueServiceToken, {}, { bearer: body.apiKey })).body;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await askOld(auth.verify, { accessToken })).code).toBe('ok');
    await old.owner.query('UPDATE api_keys SET revoked_at = now()');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await askOld(auth.verify, { accessToken })).reason).toBe('TOKEN_REVOKED');
  });
});

describe('the audiences of a service’s token', () => {
  test('are all, or the requested ones', async () => {
    const { key } = await robot();
    const issue = (audiences: string[]) => call(auth.issueServiceToken, { audiences }, { bearer: key });
    const audOf = async (audiences: string[]) => decodeJwt((await issue(audiences)).body.accessToken).aud;
    expect(await audOf([])).toEqual(['shop', 'https://api.example/v1', 'latchkey']);
    expect(await audOf(['shop'])).toEqual(['shop']);
    expect((await issue(['shop', 'office'])).fields).toEqual(['audiences']);
  });

  test('decide whether Latchkey’s own APIs accept it', async () => {
    const { key } = await robot(['admin']);
    for (const [audiences, code] of [
      [['latchkey'], 'ok'],
      [['shop'], 'unauthenticated'],
    ] as const) {
      const { body } = await call(auth.issueServiceToken, { audiences: [...audiences] }, { bearer: key });
      const bearer = body.accessToken as string;
      expect((await call(admin.getUser, { userId: boss.userId }, { bearer })).code).toBe(code);
      expect((await call(verifierService.batchVerify, { accessTokens: [bearer] }, { bearer })).code).toBe(code);
      expect((await call(auth.verify, { accessToken: bearer })).code).toBe('ok');
    }
  });
});

describe('OAuth 2.0 client credentials', () => {
  const post = (form: Record<string, string> | string, headers: Record<string, string> = {}) =>
    fetch(`${app.url}/oauth/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
    });
  const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
  const grant = { grant_type: 'client_credentials' };

  test('returns a token for a key, with either client authentication', async () => {
    const one = await robot(['user']);
    const ways = [
      await post({ ...grant, client_id: one.name, client_secret: one.key }),
      await post({ ...grant, client_id: one.id, client_secret: one.key }),
      await post(grant, { authorization: basic(one.name, one.key) }),
    ];
    for (const response of ways) {
      expect(response.status).toBe(200);
      expect(response.headers.get('cache-control')).toBe('no-store');
      const {
        access_token: accessToken,
        token_type: type,
        expires_in: seconds,
      } = (await response.json()) as {
        access_token: string;
        token_type: string;
        expires_in: number;
      };
      expect([type, Math.abs(seconds - 300) <= 1]).toEqual(['Bearer', true]);
      expect((await call(auth.verify, { accessToken })).body.principal.service).toBe(one.name);
    }
  });

  test.each<[string, string, string[]]>([
    ['a resource', 'resource=https%3A%2F%2Fapi.example%2Fv1', ['https://api.example/v1']],
    ['two resources', 'resource=https%3A%2F%2Fapi.example%2Fv1&resource=shop', ['shop', 'https://api.example/v1']],
    ['an audience', 'audience=shop', ['shop']],
    ['a resource and an audience', 'resource=shop&audience=latchkey', ['shop', 'latchkey']],
    ['the same one twice', 'resource=shop&audience=shop', ['shop']],
    ['nothing', 'resource=&audience=', ['shop', 'https://api.example/v1', 'latchkey']],
  ])('issues a token for the requested target: %s', async (_, asked, audiences) => {
    const one = await robot();
    const response = await post(
      `grant_type=client_credentials&client_id=${one.name}&client_secret=${one.key}&${asked}`,
    );
    const { access_token: accessToken } = (await response.json()) as { access_token: string };
    expect(decodeJwt(accessToken).aud).toEqual(audiences);
  });

  test.each([
    'resource=https%3A%2F%2Fapi.example%2Fv1%2F',
    'resource=https%3A%2F%2Fapi.example%2Fv1%23x',
    'resource=shop&resource=office',
    'resource=shop&audience=office',
    'audience=shop%20latchkey',
    'audience=*',
  ])('rejects an unknown target (RFC 8707): %s', async (asked) => {
    const one = await robot();
    const client = `grant_type=client_credentials&client_id=${one.name}`;
    const response = await post(`${client}&client_secret=${one.key}&${asked}`);
    expect([response.status, await response.json()]).toMatchObject([400, { error: 'invalid_target' }]);
    // The error does not reveal which targets exist.
    expect((await post(`${client}&client_secret=x&${asked}`)).status).toBe(401);
  });

  test('is described by its metadata', async () => {
    const metadata = await (await fetch(`${app.url}/.well-known/oauth-authorization-server`)).json();
    expect(metadata).toMatchObject({
      issuer: 'https://product.example',
      token_endpoint: 'https://product.example/oauth/token',
      grant_types_supported: ['client_credentials'],
    });
  });

  test.each<[string, () => Promise<Response>, number, string]>([
    [
      'another client’s key',
      async () => post({ ...grant, client_id: named(), client_secret: (await robot()).key }),
      401,
      'invalid_client',
    ],
    ['no key', () => post({ ...grant, client_id: 'x' }), 401, 'invalid_client'],
    ['garbage', () => post(grant, { authorization: basic('x', '\u0000') }), 401, 'invalid_client'],
    ['a wrong key in the header', () => post({}, { authorization: basic('x', 'x') }), 401, 'invalid_client'],
    ['a bearer', () => post(grant, { authorization: 'Bearer x' }), 401, 'invalid_client'],
    ['another grant', () => post({ grant_type: 'password' }), 400, 'unsupported_grant_type'],
    ['no grant', () => post({}), 400, 'invalid_request'],
    [
      'a grant twice',
      () => post('grant_type=client_credentials&grant_type=client_credentials'),
      400,
      'invalid_request',
    ],
    [
      'a secret twice',
      async () => {
        const { name, key } = await robot();
        return post({ ...grant, client_secret: key }, { authorization: basic(name, key) });
      },
      400,
      'invalid_request',
    ],
    [
      'two clients',
      async () => {
        const { name, key } = await robot();
        return post({ ...grant, client_id: 'y' }, { authorization: basic(name, key) });
      },
      400,
      'invalid_request',
    ],
    ['JSON', () => post('{}', { 'content-type': 'application/json' }), 400, 'invalid_request'],
    ['a form of 9 KB', () => post({ ...grant, x: 'x'.repeat(9_000) }), 400, 'invalid_request'],
  ])('rejects %s as RFC 6749 requires', async (_, send, status, error) => {
    const response = await send();
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error });
    if (status === 401 && error === 'invalid_client') {
      const challenge = response.headers.get('www-authenticate');
      expect(challenge === null || challenge.startsWith('Basic')).toBe(true);
    }
  });

  test('requires POST', async () => {
    expect((await fetch(`${app.url}/oauth/token`)).status).toBe(405);
  });
});
