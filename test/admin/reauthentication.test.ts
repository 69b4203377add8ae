// Changes that grant permissions require a re-authentication of the administrator within ten minutes, in the same session.
import { randomUUID } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { testApp } from '../support/app.ts';
import { account, admin, auth, type Outcome } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import {
  newPerson,
  reauthenticated,
  refreshed,
  registered,
  type SignedIn,
  signedIn,
  signedInWith,
  tokenOfService,
} from '../support/people.ts';
import { signInWithCode, stepUpWithCode, type WithTotp, withTotp } from '../support/second-factors.ts';
import { storedPasskey } from '../support/stored-factors.ts';

const reason = 'a test';
const app = await testApp({ REAUTHENTICATION_SECONDS: '600' });
const { call } = app;
let boss: SignedIn;
/** An administrator with a second factor. */
let chief: WithTotp;
beforeAll(async () => {
  chief = await withTotp(app, call, await signedInWith(app, call, ['admin']));
  boss = await signedInWith(app, call, ['admin']);
});

const as = ({ accessToken }: Pick<SignedIn, 'accessToken'>) => ({ bearer: accessToken });
const named = () => `robot-${randomUUID().slice(0, 8)}`;

/** Sends messages on one stream, each one after the response to the one before. */
async function importing(bearer: string, messages: object[][], between = async () => {}): Promise<string> {
  const client = createClient(AdminService, createGrpcTransport({ baseUrl: app.url }));
  async function* requests() {
    for (const [n, users] of messages.entries()) {
      if (n > 0) await between();
      yield { users: users as never, reason: 'a test' };
    }
  }
  try {
    for await (const _ of client.importUsers(requests(), { headers: { authorization: `Bearer ${bearer}` } }));
    return 'ok';
  } catch (error) {
    return String(error);
  }
}

async function robotOf(by: SignedIn): Promise<string> {
  const { body } = await call(admin.createServiceAccount, { name: named(), reason }, as(by));
  return body.serviceAccountId;
}

type Doing = (by: Pick<SignedIn, 'accessToken'>) => Promise<Pick<Outcome, 'code' | 'reason'>>;
type Preparation = [name: string, prepare: () => Promise<Doing>];
const DOINGS: Preparation[] = [
  [
    'GrantRole',
    async () => {
      const { userId } = await registered(call);
      return (by) => call(admin.grantRole, { userId, role: 'admin', reason }, as(by));
    },
  ],
  [
    'DefineRole',
    async () => {
      const role = { name: named(), implies: ['admin'] };
      return (by) => call(admin.defineRole, { role, reason }, as(by));
    },
  ],
  [
    'CreateUser with a role',
    async () => {
      const user = { email: newPerson().email, fullName: 'Lou', roles: ['admin'], reason };
      return (by) => call(admin.createUser, user, as(by));
    },
  ],
  [
    'CreateApiKey',
    async () => {
      const serviceAccountId = await robotOf(boss);
      return (by) => call(admin.createApiKey, { serviceAccountId, name: 'a key', reason }, as(by));
    },
  ],
  ...(['enableUser', 'deleteUser'] as const).map(
    (name): Preparation => [
      name,
      async () => {
        const { userId } = await registered(call);
        return (by) => call(admin[name], { userId, reason }, as(by));
      },
    ],
  ),
  ...(['enableServiceAccount', 'deleteServiceAccount'] as const).map(
    (name): Preparation => [
      name,
      async () => {
        const serviceAccountId = await robotOf(boss);
        return (by) => call(admin[name], { serviceAccountId, reason }, as(by));
      },
    ],
  ),
  [
    'RemoveUserFactor',
    async () => {
      const { userId } = await registered(call);
      const factorId = await storedPasskey(app.owner, userId);
      return (by) => call(admin.removeUserFactor, { userId, factorId, reason }, as(by));
    },
  ],
  [
    'SetFactorPolicy',
    async () => {
      const policy = { scope: 'FACTOR_POLICY_SCOPE_NONE', graceSeconds: '60' };
      return (by) => call(admin.setFactorPolicy, { policy, reason }, as(by));
    },
  ],
  [
    'RetireSigningKey',
    async () => {
      // A worker publishes the next one within seconds.
      const kid = await eventually(async () => {
        const { rows } = await app.owner.query("SELECT kid FROM signing_keys WHERE state = 'published'");
        return rows[0]?.kid;
      }, 15_000);
      return (by) => call(admin.retireSigningKey, { kid, reason }, as(by));
    },
  ],
  [
    'ImportUsers',
    async () => {
      const user = { row: 1n, email: newPerson().email, fullName: 'Lou', emailVerified: false, passwordHash: '' };
      return async ({ accessToken }) => {
        const outcome = await importing(accessToken, [[user]]);
        return outcome === 'ok'
          ? { code: 'ok' }
          : { code: 'failed', reason: /requires re-authentication/.exec(outcome)?.[0] ?? '' };
      };
    },
  ],
];
const isRefused = ({ code, reason: why = '' }: Pick<Outcome, 'code' | 'reason'>) =>
  code !== 'ok' && /REAUTHENTICATION_REQUIRED|requires re-authentication/.test(why);

describe.each(DOINGS)('%s', (_, prepare) => {
  test('is rejected with an access token alone, even after a recent sign-in, and changes nothing', async () => {
    const doing = await prepare();
    const fresh = await signedIn(call, boss);
    expect(await doing(fresh)).toSatisfy(isRefused);
    expect((await doing(await reauthenticated(call, fresh))).code).toBe('ok');
  });

  test('is rejected ten minutes after the re-authentication', async () => {
    const doing = await prepare();
    const late = await reauthenticated(call, await signedIn(call, boss));
    app.advance(601_000);
    const next = await refreshed(call, late);
    expect(await doing(next)).toSatisfy(isRefused);
    boss = await reauthenticated(call, next);
    expect((await doing(boss)).code).toBe('ok');
  });

  test('is rejected for an administrator with a factor, until the session has used it', async () => {
    const doing = await prepare();
    const session = await signInWithCode(app, call, chief);
    const { password: currentPassword, accessToken: bearer } = session;
    await call(account.reauthenticate, { currentPassword }, { bearer });
    expect(await doing(session)).toSatisfy(isRefused);
    const stepped = await stepUpWithCode(app, call, session);
    expect(await doing(session)).toSatisfy(isRefused);
    expect((await doing(stepped)).code).toBe('ok');
  });
});

test('a re-authentication counts only in its session', async () => {
  const other = await signedIn(call, boss);
  await reauthenticated(call, await signedIn(call, boss));
  const { userId } = await registered(call);
  expect((await call(admin.grantRole, { userId, role: 'admin', reason }, as(other))).reason).toBe(
    'REAUTHENTICATION_REQUIRED',
  );
});

test('an import ends with the first message after the re-authentication has expired', async () => {
  const by = await reauthenticated(call, await signedIn(call, boss));
  const row = () => ({ row: 1n, email: newPerson().email, fullName: 'Lou', emailVerified: false, passwordHash: '' });
  const [first, second] = [row(), row()];
  const outcome = await importing(by.accessToken, [[first], [second]], async () => {
    await eventually(async () => (await app.owner.query('SELECT FROM users WHERE email = $1', [first.email])).rowCount);
    app.advance(601_000);
  });
  expect(outcome).toContain('requires re-authentication');
  expect((await app.owner.query('SELECT FROM users WHERE email = $1', [second.email])).rowCount).toBe(0);
  boss = await reauthenticated(call, await signedIn(call, boss));
});

test('service accounts need no re-authentication', async () => {
  const accessToken = await tokenOfService(app, call, named(), ['admin']);
  const { userId } = await registered(call);
  expect((await call(admin.grantRole, { userId, role: 'admin', reason }, { bearer: accessToken })).code).toBe('ok');
});

test('an administrator without a password re-authenticates at the provider', async () => {
  const person = await signedInWith(app, call, ['admin']);
  const other = await signedIn(call, person);
  const { userId } = await registered(call);
  const grant = () => call(admin.grantRole, { userId, role: 'admin', reason }, as(other));
  await app.owner.query('UPDATE users SET password_hash = NULL WHERE id = $1', [person.userId]);
  expect((await grant()).reason).toBe('REAUTHENTICATION_REQUIRED');
  await app.owner.query('UPDATE sessions SET provider_authenticated_at = created_at WHERE user_id = $1', [
    person.userId,
  ]);
  expect((await grant()).code).toBe('ok');
});

describe('CreateUser', () => {
  const create = (roles: string[], by = boss) =>
    call(admin.createUser, { email: newPerson().email, fullName: 'Lou', roles, reason }, as(by));

  test('grants roles as GrantRole does, audited', async () => {
    const { body } = await create(['admin', 'user', 'admin']);
    const { userId } = body;
    const found = await call(admin.getUser, { userId }, as(boss));
    expect(found.body.user.user.roles).toEqual(['admin', 'user']);
    expect(found.body.user.grants.find(({ role }: { role: string }) => role === 'admin')).toMatchObject({
      grantedBy: `user:${boss.userId}`,
      reason,
    });
    const events = await eventually(async () => {
      const { rows } = await app.owner.query(
        "SELECT type, target, actor FROM audit_events WHERE user_id = $1 AND type <> 'mail_sent' ORDER BY seq",
        [userId],
      );
      return rows.length === 2 ? rows : null;
    });
    expect(events).toEqual([
      { type: 'registered', target: null, actor: `user:${boss.userId}` },
      { type: 'role_granted', target: 'role:admin', actor: `user:${boss.userId}` },
    ]);
  });

  test('creates no account when a role cannot be granted', async () => {
    const name = named();
    expect((await call(admin.defineRole, { role: { name }, reason }, as(boss))).code).toBe('ok');
    await app.owner.query('UPDATE roles SET granter = name WHERE name = $1', [name]);
    const count = async () => (await app.owner.query('SELECT FROM users')).rowCount;
    const before = await count();
    expect((await create([name])).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await create(['nothing'])).reason).toBe('ROLE_NOT_FOUND');
    expect((await create(['Not A Role'])).fields).toEqual(['roles']);
    expect(await count()).toBe(before);
  });

  test('without a role requires no re-authentication', async () => {
    const fresh = await signedIn(call, boss);
    expect((await create([], fresh)).code).toBe('ok');
    expect((await create(['user'], fresh)).code).toBe('ok');
    expect((await call(auth.verify, { accessToken: fresh.accessToken })).code).toBe('ok');
  });
});
