// Each change checks permission again in its transaction. These tests hold the lock that every change of an administrator takes
// first, revoke the caller's permission meanwhile, and then release the lock.
import { randomUUID } from 'node:crypto';
import { type DescMethodUnary, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AdminService, ImportUsersRequestSchema } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { admin, auth, type Caller, type Outcome, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { lockWaiters } from '../support/lock-waiters.ts';
import { newPerson, registered, type SignedIn, signedInWith } from '../support/people.ts';
import { storedPasskey } from '../support/stored-factors.ts';

let app: TestApp;
let call: Caller;
let boss: SignedIn;
beforeAll(async () => {
  // Without a worker: effects stay in the outbox, where they are counted.
  app = await startTestApp(
    {
      KEY_PUBLISH_SECONDS: '2',
      REVOCATION_MAX_AGE_MS: '1000',
      LIMIT_LOGIN_ACCOUNT: '3/900',
      LIMIT_LOGIN_PAIR: '3/900',
    },
    { api: true, worker: false },
  );
  call = viaFetch(app.url);
  boss = await signedInWith(app, call, ['admin']);
  await app.owner.query("INSERT INTO roles (name, description, required_acr) VALUES ('strict', '', 'mfa')");
  await app.owner.query("INSERT INTO role_implications VALUES ('strict', 'admin')");
  // The published key can sign by then.
  app.advance(5_000);
});
afterAll(() => app.close());

const reason = 'a test';
const ask = async (method: DescMethodUnary, input: JsonValue) => {
  const { code, body } = await call(method, input, { bearer: boss.accessToken });
  if (code !== 'ok') throw new Error(`${method.name}: ${code}`);
  return body;
};

const READING = [
  ...[
    'getUser',
    'getUserActivity',
    'listUserSessions',
    'searchUsers',
    'listUserFactors',
    'getFactorPolicy',
    'listRoles',
    'listServiceAccounts',
    'listApiKeys',
    'listSigningKeys',
  ],
  ...['queryAuditEvents', 'streamAuditEvents'],
];

const newUser = async () => ({ userId: (await registered(call)).userId, reason });
const newRole = async () => {
  const name = `role-${randomUUID().slice(0, 8)}`;
  await ask(admin.defineRole, { role: { name }, reason });
  return name;
};
const newService = async () => {
  const name = `robot-${randomUUID().slice(0, 8)}`;
  return (await ask(admin.createServiceAccount, { name, reason })).serviceAccountId as string;
};
const newKey = async (serviceAccountId: string) => ask(admin.createApiKey, { serviceAccountId, name: 'a key', reason });

/** A request of each RPC that changes something, which succeeds for an administrator. */
const WRITING: Record<string, () => Promise<JsonValue>> = {
  createUser: async () => ({ email: newPerson().email, fullName: 'Grace', reason }),
  importUsers: async () => ({ users: [{ row: '1', email: newPerson().email, fullName: 'Grace' }], reason }),
  disableUser: newUser,
  enableUser: async () => {
    const user = await newUser();
    await ask(admin.disableUser, user);
    return user;
  },
  deleteUser: newUser,
  requireNewPassword: newUser,
  endUserSessions: newUser,
  unlockUser: newUser,
  removeUserFactor: async () => {
    const user = await newUser();
    return { ...user, factorId: await storedPasskey(app.owner, user.userId) };
  },
  setFactorPolicy: async () => ({ policy: { scope: 'FACTOR_POLICY_SCOPE_NONE', graceSeconds: '60' }, reason }),
  defineRole: async () => ({ role: { name: `role-${randomUUID().slice(0, 8)}` }, reason }),
  deleteRole: async () => ({ name: await newRole(), reason }),
  grantRole: async () => ({ ...(await newUser()), role: await newRole() }),
  revokeRole: async () => {
    const grant = { ...(await newUser()), role: await newRole() };
    await ask(admin.grantRole, grant);
    return grant;
  },
  createServiceAccount: async () => ({ name: `robot-${randomUUID().slice(0, 8)}`, reason }),
  disableServiceAccount: async () => ({ serviceAccountId: await newService(), reason }),
  enableServiceAccount: async () => {
    const service = { serviceAccountId: await newService(), reason };
    await ask(admin.disableServiceAccount, service);
    return service;
  },
  deleteServiceAccount: async () => ({ serviceAccountId: await newService(), reason }),
  createApiKey: async () => ({ serviceAccountId: await newService(), name: 'a key', reason }),
  revokeApiKey: async () => ({ apiKeyId: (await newKey(await newService())).apiKeyId, reason }),
  rotateSigningKeys: async () => ({ reason }),
  retireSigningKey: async () => {
    const { signingKeys } = await ask(admin.listSigningKeys, {});
    return { kid: signingKeys.find(({ state }: { state: string }) => state === 'STATE_ACTIVE').kid, reason };
  },
};

type Method = (typeof AdminService.methods)[number];

async function invoke(method: Method, input: JsonValue, bearer: string): Promise<Outcome> {
  if (method.methodKind === 'unary') return call(method as DescMethodUnary, input, { bearer });
  return importing([input], bearer);
}

async function importing(pages: JsonValue[], bearer: string): Promise<Outcome> {
  const client = createClient(AdminService, createGrpcTransport({ baseUrl: app.url }));
  async function* requests() {
    for (const page of pages) yield fromJson(ImportUsersRequestSchema, page);
  }
  try {
    for await (const _ of client.importUsers(requests(), { headers: { authorization: `Bearer ${bearer}` } }));
    return { code: 'ok' };
  } catch (error) {
    return outcomeOf(error);
  }
}

function outcomeOf(error: unknown): Outcome {
  const { code, details } = ConnectError.from(error);
  const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  return { code: Code[code].toLowerCase(), ...(details.length > 0 && { reason: info?.reason ?? '' }) };
}

/** A transaction for one test, which rolls back at its end. */
async function connected(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: app.environment.MIGRATION_DATABASE_URL });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

const TABLES = [
  ...['users', 'user_roles', 'sessions', 'roles', 'role_implications', 'service_accounts', 'service_account_roles'],
  ...['api_keys', 'signing_keys', 'outbox', 'factors', 'factor_policy'],
];

/** Changes with every row that is written. */
async function contents(client: pg.Client): Promise<string[]> {
  const found: string[] = [];
  for (const table of TABLES) {
    const { rows } = await client.query(
      `SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) AS md5 FROM ${table} AS t`,
    );
    found.push(`${table} ${rows[0].md5}`);
  }
  return found;
}

/** The outcome of a call that had been authorized before `fate` was committed, and whether it has written anything. */
async function outliving(fate: string, values: unknown[], begin: () => Promise<Outcome>) {
  const client = await connected();
  await client.query('BEGIN');
  await client.query("SELECT pg_advisory_xact_lock(hashtext('latchkey roles'))");
  const calling = begin();
  await eventually(async () => (await lockWaiters(app.owner)) === 1);
  await client.query(fate, values);
  const before = await contents(client);
  await client.query('COMMIT');
  const { code, reason } = await calling;
  const after = await contents(client);
  return { code, reason, written: after.filter((table) => !before.includes(table)) };
}

type Fate = { sql: string; reason: string };

const OF_USERS = {
  'is disabled': { sql: 'UPDATE users SET disabled_at = now() WHERE id = $1', reason: 'TOKEN_REVOKED' },
  'has lost the role': { sql: 'DELETE FROM user_roles WHERE user_id = $1', reason: 'PERMISSION_DENIED' },
  'has the role in stronger sessions only': {
    sql: `WITH lost AS (DELETE FROM user_roles WHERE user_id = $1)
      INSERT INTO user_roles VALUES ($1, 'strict', now())`,
    reason: 'STEP_UP_REQUIRED',
  },
  'has signed out': { sql: 'UPDATE sessions SET ended_at = now() WHERE user_id = $1', reason: 'TOKEN_REVOKED' },
  'is deleted': { sql: 'SELECT delete_user($1)', reason: 'TOKEN_REVOKED' },
};
const ofKeys = (change: string) => `UPDATE api_keys SET ${change} WHERE service_account_id = $1`;
const OF_SERVICES = {
  'has a revoked key': { sql: ofKeys('revoked_at = now()'), reason: 'TOKEN_INVALID' },
  'has an expired key': { sql: ofKeys("expires_at = now() - interval '1 hour'"), reason: 'TOKEN_INVALID' },
  'is disabled': { sql: 'UPDATE service_accounts SET disabled_at = now() WHERE id = $1', reason: 'TOKEN_INVALID' },
  'has lost the role': {
    sql: 'DELETE FROM service_account_roles WHERE service_account_id = $1',
    reason: 'PERMISSION_DENIED',
  },
  'is deleted': { sql: 'DELETE FROM service_accounts WHERE id = $1', reason: 'TOKEN_INVALID' },
};

test('each RPC of AdminService is listed here as reading or writing', () => {
  expect(AdminService.methods.map(({ localName }) => localName).toSorted()).toEqual(
    [...READING, ...Object.keys(WRITING)].toSorted(),
  );
});

async function newChief(): Promise<{ id: string; key: string }> {
  const id = await newService();
  await ask(admin.grantRole, { serviceAccountId: id, role: 'admin', reason });
  return { id, key: (await newKey(id)).apiKey };
}

const writingMethods = AdminService.methods.filter(({ localName }) => localName in WRITING);
const inputOf = ({ localName }: Method) => (WRITING[localName] as () => Promise<JsonValue>)();

async function expectNothingWritten(method: Method, { sql, reason }: Fate, actor: { id: string; bearer: string }) {
  const input = await inputOf(method);
  const outcome = await outliving(sql, [actor.id], () => invoke(method, input, actor.bearer));
  expect({ reason: outcome.reason, written: outcome.written }).toEqual({ reason, written: [] });
}

const newUserActor = async () => {
  const { userId, accessToken } = await signedInWith(app, call, ['admin']);
  return { id: userId, bearer: accessToken };
};
const newServiceActor = async () => {
  const { id, key } = await newChief();
  return { id, bearer: key };
};

describe.each(writingMethods)('$name changes nothing', (method) => {
  test.each(['is disabled', 'has lost the role', 'has signed out'] as const)(
    'when its caller %s before its transaction',
    async (what) => expectNothingWritten(method, OF_USERS[what], await newUserActor()),
  );

  test('when the service that calls has a revoked key before its transaction', async () =>
    expectNothingWritten(method, OF_SERVICES['has a revoked key'], await newServiceActor()));
});

describe('no change begins', () => {
  test('when its caller is deleted before its transaction', async () =>
    expectNothingWritten(admin.createUser, OF_USERS['is deleted'], await newUserActor()));

  test('when its caller has the role in stronger sessions only', async () =>
    expectNothingWritten(admin.createUser, OF_USERS['has the role in stronger sessions only'], await newUserActor()));

  test.each(Object.entries(OF_SERVICES))('when the service that calls %s before its transaction', async (_, fate) =>
    expectNothingWritten(admin.createUser, fate, await newServiceActor()),
  );

  test('when the key behind the token of a service is revoked before its transaction', async () => {
    const { id, bearer } = await newServiceActor();
    const { accessToken } = (await call(auth.issueServiceToken, {}, { bearer })).body;
    await expectNothingWritten(admin.createUser, OF_SERVICES['has a revoked key'], { id, bearer: accessToken });
  });
});

test('each of these calls succeeds for users and services that stay administrators', async () => {
  const { key } = await newChief();
  for (const bearer of [boss.accessToken, key]) {
    for (const method of writingMethods) {
      // There is no second key to rotate to: no worker has published it.
      if (method.localName === 'rotateSigningKeys' && bearer === key) continue;
      expect([method.name, await invoke(method, await inputOf(method), bearer)]).toMatchObject([
        method.name,
        { code: 'ok' },
      ]);
    }
  }
});

test('the end of the session of the caller waits for a running change', async () => {
  const actor = await signedInWith(app, call, ['admin']);
  const [holding, ending] = [await connected(), await connected()];
  await holding.query('BEGIN; LOCK TABLE outbox IN SHARE MODE');
  const calling = invoke(admin.createUser, await inputOf(admin.createUser), actor.accessToken);
  await eventually(async () => (await lockWaiters(app.owner)) === 1);
  let hasEnded = false;
  const end = ending.query('UPDATE sessions SET ended_at = now() WHERE user_id = $1', [actor.userId]).then(() => {
    hasEnded = true;
  });
  await eventually(async () => (await lockWaiters(app.owner)) === 2);
  expect(hasEnded).toBe(false);
  await holding.query('COMMIT');
  expect((await calling).code).toBe('ok');
  await end;
});

test('UnlockUser clears nothing when its caller has lost permission', async () => {
  const [actor, person] = [await signedInWith(app, call, ['admin']), await registered(call)];
  const signIn = () => call(auth.login, { email: person.email, password: person.password });
  for (let n = 0; n < 4; n += 1) await call(auth.login, { email: person.email, password: 'a wrong pass phrase' });
  const input = { userId: person.userId, reason, address: '127.0.0.1' };
  await outliving(OF_USERS['is disabled'].sql, [actor.userId], () =>
    invoke(admin.unlockUser, input, actor.accessToken),
  );
  expect((await signIn()).reason).toBe('RATE_LIMITED');
  await ask(admin.unlockUser, input);
  expect((await signIn()).code).toBe('ok');
});

describe('an open stream of ImportUsers', () => {
  const page = (rows = 1) => ({
    users: Array.from({ length: rows }, (_, n) => ({ row: String(n), email: newPerson().email, fullName: 'Grace' })),
    reason,
  });
  const isWritten = async ({ users }: ReturnType<typeof page>) =>
    (await app.owner.query('SELECT FROM users WHERE email = ANY($1)', [users.map(({ email }) => email)])).rowCount;

  test('writes none of the pages that were sent before its administrator was disabled', async () => {
    const actor = await signedInWith(app, call, ['admin']);
    const pages = [page(100), page(100), page(100)];
    const { sql } = OF_USERS['is disabled'];
    const { reason, written } = await outliving(sql, [actor.userId], () => importing(pages, actor.accessToken));
    expect({ reason, written }).toEqual({ reason: 'TOKEN_REVOKED', written: [] });
  });

  test('ends with the first message after DisableUser, which nothing reads', async () => {
    const actor = await signedInWith(app, call, ['admin']);
    const [first, tooMany] = [page(), page(101)];
    const answered = Promise.withResolvers<void>();
    const disabled = Promise.withResolvers<void>();
    async function* requests() {
      yield fromJson(ImportUsersRequestSchema, first);
      await disabled.promise;
      // A use case that reads it returns INVALID_ARGUMENT.
      yield fromJson(ImportUsersRequestSchema, tooMany);
    }
    const client = createClient(AdminService, createGrpcTransport({ baseUrl: app.url }));
    const reading = (async () => {
      const options = { headers: { authorization: `Bearer ${actor.accessToken}` } };
      for await (const _ of client.importUsers(requests(), options)) answered.resolve();
    })().catch(outcomeOf);
    await answered.promise;
    await ask(admin.disableUser, { userId: actor.userId, reason });
    disabled.resolve();
    expect(await reading).toMatchObject({ reason: 'TOKEN_REVOKED' });
    expect([await isWritten(first), await isWritten(tooMany)]).toEqual([1, 0]);
  });
});
