import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { admin, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { refreshed, registered, type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const app = await testApp();
const { call } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

const as = ({ accessToken }: SignedIn) => ({ bearer: accessToken });
const define = (name: string, implies: string[] = [], granter = '', by = boss) =>
  call(admin.defineRole, { role: { name, description: `who is ${name}`, implies, granter }, reason: 'a test' }, as(by));
const grant = (userId: string, role: string, more: object = {}, by = boss) =>
  call(admin.grantRole, { userId, role, reason: 'a test', ...more }, as(by));
const revoke = (userId: string, role: string, by = boss) =>
  call(admin.revokeRole, { userId, role, reason: 'a test' }, as(by));
const rolesIn = async ({ accessToken }: SignedIn) =>
  (await call(auth.verify, { accessToken })).body?.principal.roles as string[];
const holds = async (userId: string, role: string) =>
  (await call(auth.checkRole, { userId, role }, { bearer: SERVICE_KEY })).body.allowed;

/** Names that no other test has. */
let names: Record<'reader' | 'writer' | 'editor', string>;
beforeEach(() => {
  const tag = randomUUID().slice(0, 8);
  names = { reader: `reader-${tag}`, writer: `writer-${tag}`, editor: `editor-${tag}` };
});

describe('a role', () => {
  test('is defined, found, redefined and deleted', async () => {
    const { reader, writer } = names;
    await define(reader);
    expect(await define(writer, [reader, reader])).toEqual({ code: 'ok', body: {} });
    const list = async () =>
      (await call(admin.listRoles, {}, as(boss))).body.roles.filter(({ name }: { name: string }) => name === writer);
    expect(await list()).toEqual([
      { name: writer, description: `who is ${writer}`, implies: [reader], granter: 'admin', requiredAcr: 'pwd' },
    ]);
    const other = { name: writer, description: 'another', implies: [], granter: '' };
    await call(admin.defineRole, { role: other, reason: 'a test' }, as(boss));
    expect(await list()).toEqual([{ ...other, granter: 'admin', requiredAcr: 'pwd' }]);
    expect((await call(admin.deleteRole, { name: writer, reason: 'a test' }, as(boss))).code).toBe('ok');
    expect(await list()).toEqual([]);
    expect((await call(admin.deleteRole, { name: writer, reason: 'a test' }, as(boss))).reason).toBe('ROLE_NOT_FOUND');
  });

  test('that is invalid is rejected with every invalid field', async () => {
    const bad = { name: 'No', description: 'a\u0000b', implies: ['x y'], granter: '-' };
    expect((await call(admin.defineRole, { role: bad }, as(boss))).fields?.toSorted()).toEqual([
      'description',
      'granter',
      'implies',
      'name',
      'reason',
    ]);
    expect((await call(admin.defineRole, {}, as(boss))).fields).toEqual(['name', 'reason']);
    expect((await define(names.reader, ['undefined-role'])).reason).toBe('ROLE_NOT_FOUND');
    expect((await define(names.reader, [], 'undefined-role')).reason).toBe('ROLE_NOT_FOUND');
  });

  test('never implies itself, in any number of steps', async () => {
    const { reader, writer, editor } = names;
    expect((await define(reader, [reader])).reason).toBe('ROLE_CIRCLE');
    await define(reader);
    await define(writer, [reader]);
    await define(editor, [writer]);
    expect(await define(reader, [editor])).toMatchObject({ code: 'failed_precondition', reason: 'ROLE_CIRCLE' });
    const both = await Promise.all([define(reader, []), define(reader, [editor]), define(editor, [reader])]);
    expect(both.map(({ reason }) => reason)).toContain('ROLE_CIRCLE');
  });

  test('cannot be deleted while it is used', async () => {
    const { reader, writer, editor } = names;
    const person = await registered(call);
    await define(reader);
    await define(writer, [reader]);
    const chief = await signedInWith(app, call, ['admin', writer]);
    expect((await define(editor, [], writer, chief)).code).toBe('ok');
    await app.owner.query('DELETE FROM user_roles WHERE role = $1', [writer]);
    expect((await define(editor)).reason).toBe('GRANT_NOT_ALLOWED');
    const remove = async (name: string) => (await call(admin.deleteRole, { name, reason: 'a test' }, as(boss))).reason;
    for (const name of [reader, writer, 'user', 'admin']) expect(await remove(name), name).toBe('ROLE_IN_USE');
    await define(writer);
    await grant(person.userId, reader);
    expect(await remove(reader)).toBe('ROLE_IN_USE');
    await revoke(person.userId, reader);
    expect(await remove(reader)).toBeUndefined();
  });
});

describe('the held roles', () => {
  test('are the granted roles and all that they imply, in tokens and by user id', async () => {
    const { reader, writer, editor } = names;
    await define(reader);
    await define(writer, [reader]);
    await define(editor, [writer]);
    const person = await signedIn(call);
    expect(await grant(person.userId, editor)).toEqual({ code: 'ok', body: {} });
    expect((await call(auth.verify, { accessToken: person.accessToken })).reason).toBe('TOKEN_STALE');
    expect(await rolesIn(await refreshed(call, person))).toEqual([editor, reader, 'user', writer].toSorted());
    expect(await holds(person.userId, reader)).toBe(true);
  });

  test('change with the definition: only tokens with the role become stale, within a second', async () => {
    const { reader, writer } = names;
    await define(reader);
    await define(writer);
    const [holder, other] = [await signedIn(call), await signedIn(call)];
    await grant(holder.userId, writer);
    const writing = await refreshed(call, holder);
    await define(writer, [reader]);
    await eventually(async () => (await call(auth.verify, writing)).reason === 'TOKEN_STALE', 1_000);
    const reading = await refreshed(call, writing);
    expect(await rolesIn(reading)).toContain(reader);
    expect(await rolesIn(other)).toEqual(['user']);
    await define(writer);
    await eventually(async () => (await call(auth.verify, reading)).reason === 'TOKEN_STALE', 1_000);
    expect(await rolesIn(await refreshed(call, reading))).not.toContain(reader);
  });

  test('expire with the grant, and no token outlives it', async () => {
    const { writer } = names;
    await define(writer);
    const person = await signedIn(call);
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    await grant(person.userId, writer, { expiresAt });
    const { body } = await call(auth.refresh, { refreshToken: person.refreshToken });
    const { tokens } = body;
    expect(await rolesIn(tokens)).toContain(writer);
    expect(Date.parse(tokens.expiresAt)).toBeLessThanOrEqual(Date.parse(expiresAt));
    expect(await holds(person.userId, writer)).toBe(true);
    app.advance(61_000);
    expect((await call(auth.verify, tokens)).reason).toBe('TOKEN_EXPIRED');
    expect(await holds(person.userId, writer)).toBe(false);
    const after = await call(auth.refresh, { refreshToken: tokens.refreshToken });
    expect(await rolesIn(after.body.tokens)).toEqual(['user']);
    for (const time of [expiresAt, '9999-12-31T23:59:59Z', '0001-01-01T00:00:00Z']) {
      const { code, fields } = await grant(person.userId, writer, { expiresAt: time });
      if (time.startsWith('9999')) expect(code).toBe('ok');
      else expect(fields).toEqual(['expires_at']);
    }
  });

  test('tokens are valid until the second in which a role expires', async () => {
    const { writer } = names;
    await define(writer);
    const person = await signedIn(call);
    for (const ms of [400, 900, 1_400, 2_100]) {
      const expiresAt = new Date(Date.now() + 61_000 + ms);
      await app.owner.query(
        `INSERT INTO user_roles (user_id, role, granted_at, expires_at) VALUES ($1, $2, now(), $3)
          ON CONFLICT (user_id, role) DO UPDATE SET expires_at = excluded.expires_at`,
        [person.userId, writer, expiresAt],
      );
      const fresh = await signedIn(call, person);
      const { code, body } = await call(auth.verify, fresh);
      expect(code).toBe('ok');
      expect(body.principal.roles.includes(writer)).toBe(Date.parse(body.principal.expiresAt) <= expiresAt.getTime());
    }
  });
});

const DEEDS = { disable: admin.disableUser, delete: admin.deleteUser } as const;
test.each(['revoke', 'disable', 'delete'] as const)(
  'of two administrators who %s one another at the same moment, one is too late',
  async (deed) => {
    const against = ({ userId }: SignedIn, by: SignedIn) =>
      deed === 'revoke' ? revoke(userId, 'admin', by) : call(DEEDS[deed], { userId, reason: 'a test' }, as(by));
    for (let n = 0; n < 5; n += 1) {
      const [one, two] = [await signedInWith(app, call, ['admin']), await signedInWith(app, call, ['admin'])];
      const outcomes = await Promise.all([against(one, two), against(two, one)]);
      expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
      const { rows } = await app.owner.query(
        'SELECT FROM users JOIN user_roles ON user_id = id WHERE id = ANY($1) AND role = $2 AND disabled_at IS NULL',
        [[one.userId, two.userId], 'admin'],
      );
      expect(rows).toHaveLength(1);
    }
  },
);

describe('roles that do not fit into a token', () => {
  const long = (n: number) => `r${n}-${randomUUID()}-${'x'.repeat(20)}`;

  test('are neither defined nor granted, and every user can still sign in', async () => {
    const names = Array.from({ length: 30 }, (_, n) => long(n));
    for (const name of names) expect((await define(name)).code).toBe('ok');
    const one = long(30);
    expect(await define(one, names)).toMatchObject({ code: 'failed_precondition', reason: 'TOO_MANY_ROLES' });
    expect((await define(one, names.slice(0, 15))).code).toBe('ok');
    const person = await signedIn(call);
    expect((await grant(person.userId, one)).code).toBe('ok');
    const more = await Promise.all(names.slice(15).map((name) => grant(person.userId, name)));
    expect(more.map(({ reason }) => reason)).toContain('TOO_MANY_ROLES');
    expect((await call(auth.login, { email: person.email, password: person.password })).code).toBe('ok');
  });
});

describe('a role that is deleted', () => {
  test('keeps the epochs: tokens with another role become stale when that role changes, and a role that is created again works', async () => {
    const { reader, writer, editor } = names;
    await define(reader);
    await define(writer, [reader]);
    const person = await signedIn(call);
    await grant(person.userId, writer);
    await define(editor);
    await define(editor, [reader]);
    const holder = await refreshed(call, person);
    await define(editor);
    await call(admin.deleteRole, { name: editor, reason: 'a test' }, as(boss));
    await define(writer);
    await eventually(async () => (await call(auth.verify, holder)).reason === 'TOKEN_STALE', 1_000);
    await define(editor);
    await grant(person.userId, editor);
    const again = await refreshed(call, holder);
    expect(await rolesIn(again)).toContain(editor);
  });
});

describe('grants', () => {
  test('show the actor, the time, the reason and the expiry; granting again replaces them', async () => {
    await define(names.writer);
    const person = await registered(call);
    await grant(person.userId, names.writer, { reason: 'covers for Ada' });
    const grants = async () => (await call(admin.getUser, { userId: person.userId }, as(boss))).body.user.grants;
    const [, written] = await grants();
    expect(written).toMatchObject({ role: names.writer, grantedBy: `user:${boss.userId}`, reason: 'covers for Ada' });
    const expiresAt = new Date(Date.now() + 3600_000).toISOString();
    await grant(person.userId, names.writer, { reason: 'until Ada is back', expiresAt });
    expect(await grants()).toMatchObject([
      { role: 'user', grantedBy: '' },
      { reason: 'until Ada is back', expiresAt },
    ]);
  });

  test('are rejected with a reason', async () => {
    const person = await registered(call);
    const { fields } = await call(admin.grantRole, { userId: 'x', role: 'X' }, as(boss));
    expect(fields?.toSorted()).toEqual(['reason', 'role', 'user_id']);
    expect((await grant(person.userId, 'undefined-role')).reason).toBe('ROLE_NOT_FOUND');
    expect((await grant(randomUUID(), 'user')).reason).toBe('USER_NOT_FOUND');
    expect((await revoke(person.userId, 'admin')).reason).toBe('ROLE_NOT_HELD');
    expect((await revoke(randomUUID(), 'admin')).reason).toBe('USER_NOT_FOUND');
    expect((await grant(person.userId, 'user', {}, await signedIn(call))).reason).toBe('PERMISSION_DENIED');
  });

  test('are in the audit trail with actor, user, before and after', async () => {
    await define(names.writer);
    const person = await registered(call);
    await grant(person.userId, names.writer, { reason: 'one' });
    await grant(person.userId, names.writer, { reason: 'two' });
    await revoke(person.userId, names.writer);
    const rows = await eventually(async () => {
      const found = await app.owner.query(
        'SELECT type, actor, detail, before, after FROM audit_events WHERE target = $1 ORDER BY occurred_at, id',
        [`role:${names.writer}`],
      );
      return found.rows.length === 4 ? found.rows : null;
    });
    const actor = `user:${boss.userId}`;
    expect(rows).toMatchObject([
      { type: 'role_defined', actor, before: null, after: { name: names.writer } },
      { type: 'role_granted', actor, detail: 'one', before: null, after: { role: names.writer } },
      { type: 'role_granted', actor, detail: 'two', before: { reason: 'one' } },
      { type: 'role_revoked', actor, before: { reason: 'two' }, after: null },
    ]);
  });
});

describe('the granter rule', () => {
  let root: string;
  beforeEach(async () => {
    // Only its holders can grant it. The first holder received it by SQL.
    root = `root-${randomUUID().slice(0, 8)}`;
    await app.owner.query("INSERT INTO roles (name, description, granter) VALUES ($1, '', 'admin')", [root]);
    await app.owner.query('UPDATE roles SET granter = name WHERE name = $1', [root]);
  });

  test('an administrator cannot grant or revoke a role with another granter, or a role that implies it', async () => {
    const person = await registered(call);
    expect(await grant(person.userId, root)).toMatchObject({ code: 'permission_denied', reason: 'GRANT_NOT_ALLOWED' });
    expect((await grant(boss.userId, root)).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await define(root, [], 'admin')).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await define(root)).reason).toBe('GRANT_NOT_ALLOWED');
    // Through a role that they hold, or can grant.
    expect((await define('admin', ['user', root])).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await define(names.reader, [root])).reason).toBe('GRANT_NOT_ALLOWED');
    await app.owner.query("INSERT INTO roles (name, description) VALUES ($1, '')", [names.writer]);
    await app.owner.query('INSERT INTO role_implications VALUES ($1, $2)', [names.writer, root]);
    expect((await grant(person.userId, names.writer)).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await define(names.writer)).reason).toBe('GRANT_NOT_ALLOWED');
    expect(await holds(person.userId, root)).toBe(false);
  });

  test('an administrator cannot lock out others: the granter of an existing role stays', async () => {
    const [shield, lock] = [`shield-${randomUUID().slice(0, 8)}`, `lock-${randomUUID().slice(0, 8)}`];
    const attacker = await signedInWith(app, call, ['admin']);
    await define(shield, [], '', attacker);
    await grant(attacker.userId, shield, {}, attacker);
    const mine = await refreshed(call, attacker);
    expect((await define(shield, [], shield, mine)).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await define(lock, [], shield, mine)).code).toBe('ok');
    for (const role of ['user', 'admin']) {
      expect((await define(role, role === 'admin' ? ['user', lock] : [lock], '', mine)).reason).toBe(
        'GRANT_NOT_ALLOWED',
      );
    }
    await grant(attacker.userId, lock, {}, mine);
    // An administrator who can grant the one role can grant themselves the other, and then do this.
    await grant(boss.userId, shield);
    const chief = await refreshed(call, boss);
    expect((await call(admin.disableUser, { userId: attacker.userId, reason: 'enough' }, as(chief))).code).toBe('ok');
    await revoke(boss.userId, shield, chief);
    boss = await refreshed(call, chief);
  });

  test('a definition without a granter keeps the granter', async () => {
    const mighty = await signedInWith(app, call, ['admin', root]);
    expect((await define(root, [], '', mighty)).code).toBe('ok');
    expect((await grant(boss.userId, root)).reason).toBe('GRANT_NOT_ALLOWED');
  });

  test('an administrator cannot administer a user who holds such a role', async () => {
    const mighty = await signedInWith(app, call, [root]);
    const input = { userId: mighty.userId, reason: 'a coup' };
    const methods = [
      admin.disableUser,
      admin.enableUser,
      admin.deleteUser,
      admin.requireNewPassword,
      admin.endUserSessions,
      admin.unlockUser,
    ];
    for (const method of methods) expect((await call(method, input, as(boss))).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await revoke(mighty.userId, root)).reason).toBe('GRANT_NOT_ALLOWED');
    expect(await rolesIn(mighty)).toContain(root);
  });

  test('the current roles of the administrator count, not those in the token', async () => {
    const mighty = await signedInWith(app, call, ['admin', root]);
    const person = await registered(call);
    const other = await registered(call);
    expect((await grant(person.userId, root, {}, mighty)).code).toBe('ok');
    // The triggers that would make the token stale are switched off.
    await app.owner.query('ALTER TABLE user_roles DISABLE TRIGGER user_roles_changed');
    await app.owner.query('DELETE FROM user_roles WHERE user_id = $1 AND role = $2', [mighty.userId, root]);
    await app.owner.query('ALTER TABLE user_roles ENABLE TRIGGER user_roles_changed');
    expect((await grant(other.userId, root, {}, mighty)).reason).toBe('GRANT_NOT_ALLOWED');
  });
});
