import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { admin } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, type SignedIn, signedInWith } from '../support/people.ts';
import { storedPasskey } from '../support/stored-factors.ts';

const app = await testApp();
const { call, owner } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

const reason = 'a test';
const set = (policy: object) => call(admin.setFactorPolicy, { policy, reason } as never, { bearer: boss.accessToken });
const get = async () => (await call(admin.getFactorPolicy, {}, { bearer: boss.accessToken })).body;
const define = (name: string, implies: string[] = []) =>
  call(admin.defineRole, { role: { name, implies }, reason }, { bearer: boss.accessToken });
const named = () => `role-${randomUUID().slice(0, 8)}`;

const requiredAt = async (userId: string): Promise<Date | null> => {
  const { rows } = await owner.query('SELECT factor_required_at($1, now()) AS at', [userId]);
  return rows[0].at;
};

test('by default the policy requires no factor', async () => {
  expect(await get()).toEqual({
    policy: { scope: 'FACTOR_POLICY_SCOPE_NONE', roles: [], graceSeconds: '0' },
  });
  expect(await requiredAt(boss.userId)).toBeNull();
});

test('a policy for holders of roles names them, applies to granted and implied roles, and has a grace period', async () => {
  const [payer, chief, other] = [named(), named(), named()];
  await define(payer);
  await define(chief, [payer]);
  await define(other);
  const [holder, bystander] = [await registered(call), await registered(call)];
  for (const [{ userId }, role] of [[holder, chief] as const, [bystander, other] as const]) {
    await call(admin.grantRole, { userId, role, reason }, { bearer: boss.accessToken });
  }
  const roles = [payer, 'admin', payer];
  expect(await set({ scope: 'FACTOR_POLICY_SCOPE_ROLES', roles, graceSeconds: '3600' })).toEqual({
    code: 'ok',
    body: {},
  });
  const { policy, changedAt } = await get();
  expect(policy).toEqual({ scope: 'FACTOR_POLICY_SCOPE_ROLES', roles: ['admin', payer], graceSeconds: '3600' });
  expect(await requiredAt(bystander.userId)).toBeNull();
  expect((await requiredAt(holder.userId))?.getTime()).toBe(Date.parse(changedAt) + 3_600_000);
});

test('an administrator’s removal of a factor ends the grace period', async () => {
  await set({ scope: 'FACTOR_POLICY_SCOPE_ALL', graceSeconds: '3600' });
  const { userId } = await registered(call);
  const factorId = await storedPasskey(owner, userId);
  expect((await requiredAt(userId))?.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
  await call(admin.removeUserFactor, { userId, factorId, reason }, { bearer: boss.accessToken });
  expect((await requiredAt(userId))?.getTime()).toBeLessThanOrEqual(Date.now());
});

test('an equal policy changes nothing: the grace period goes on', async () => {
  const policy = { scope: 'FACTOR_POLICY_SCOPE_ALL', graceSeconds: '60' };
  await set(policy);
  const before = await get();
  expect((await set(policy)).code).toBe('ok');
  expect(await get()).toEqual(before);
});

test('changes are audited with the policies before and after', async () => {
  await set({ scope: 'FACTOR_POLICY_SCOPE_NONE' });
  await set({ scope: 'FACTOR_POLICY_SCOPE_ALL', graceSeconds: '5' });
  const event = await eventually(async () => {
    const { rows } = await owner.query(
      "SELECT * FROM audit_events WHERE type = 'factor_policy_changed' ORDER BY seq DESC LIMIT 1",
    );
    return rows[0]?.after.graceSeconds === 5 ? rows[0] : null;
  });
  expect(event).toMatchObject({
    ...{ actor: `user:${boss.userId}`, detail: reason },
    before: { scope: 'none', roles: [], graceSeconds: 0 },
    after: { scope: 'all', roles: [], graceSeconds: 5 },
  });
});

test('an invalid policy is rejected with every invalid field', async () => {
  const names = Array.from({ length: 33 }, (_, n) => `role-${n}`);
  const [NONE, ROLES] = ['FACTOR_POLICY_SCOPE_NONE', 'FACTOR_POLICY_SCOPE_ROLES'];
  const before = await get();
  const { fields } = await call(admin.setFactorPolicy, {}, { bearer: boss.accessToken });
  expect(fields).toEqual(['scope', 'reason']);
  expect((await set({ scope: NONE, roles: ['admin'] })).fields).toEqual(['roles']);
  expect((await set({ scope: ROLES })).fields).toEqual(['roles']);
  expect((await set({ scope: ROLES, roles: names })).fields).toEqual(['roles']);
  expect((await set({ scope: ROLES, roles: ['No Role'] })).fields).toEqual(['roles']);
  expect((await set({ scope: NONE, graceSeconds: '31536001' })).fields).toEqual(['grace_seconds']);
  expect((await set({ scope: NONE, graceSeconds: '-1' })).fields).toEqual(['grace_seconds']);
  expect(await set({ scope: ROLES, roles: [named()] })).toMatchObject({ code: 'not_found', reason: 'ROLE_NOT_FOUND' });
  expect(await get()).toEqual(before);
});

test('a role of the policy cannot be deleted', async () => {
  const role = named();
  await define(role);
  await set({ scope: 'FACTOR_POLICY_SCOPE_ROLES', roles: [role] });
  const deleting = () => call(admin.deleteRole, { name: role, reason }, { bearer: boss.accessToken });
  expect((await deleting()).reason).toBe('ROLE_IN_USE');
  await set({ scope: 'FACTOR_POLICY_SCOPE_NONE' });
  expect((await deleting()).code).toBe('ok');
});
