// Triggers maintain the closure of implied roles and write revocation events (migrations/0001_baseline.sql).
import { sql } from 'kysely';
import { actorName } from '../domain/actor.ts';
import type { RoleDefinition } from '../domain/role-graph.ts';
import { type AdminChange, lockAuthority, roleDefinitions } from './authority.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import {
  acrForRole,
  grantsOf,
  grantTableOf,
  lockHolder,
  type NewGrant,
  type RoleGrant,
  type RoleHolder,
} from './role-grants.ts';

export type Roles = ReturnType<typeof createRoles>;

export function createRoles(db: Db, newId: () => string) {
  return {
    all: () => roleDefinitions(db),

    acrFor: (grant: { userId: string; role: string; at: Date }) => acrForRole(db, grant),

    /** @param change `before` is null for a new role */
    async define(
      role: RoleDefinition,
      { actor, at, decide, effects }: AdminChange<[before: RoleDefinition | null]>,
    ): Promise<void> {
      await db.transaction().execute(async (trx) => {
        decide(await lockAuthority(trx, actor, { lock: 'exclusive', at }));
        const before = (await roleDefinitions(trx)).find(({ name }) => name === role.name) ?? null;
        const { name, description, granter, requiredAcr: required_acr } = role;
        await trx
          .insertInto('roles')
          .values({ name, description, granter, required_acr })
          .onConflict((conflict) => conflict.column('name').doUpdateSet({ description, granter, required_acr }))
          .execute();
        const [added, removed] = [
          minus(role.implies, before?.implies ?? []),
          minus(before?.implies ?? [], role.implies),
        ];
        if (removed.length > 0) {
          await trx.deleteFrom('role_implications').where('role', '=', name).where('implies', 'in', removed).execute();
        }
        if (added.length > 0) {
          await trx
            .insertInto('role_implications')
            .values(added.map((implies) => ({ role: name, implies })))
            .execute();
        }
        await writeEffects(trx, newId, { at, effects: effects(before) });
      });
    },

    /** `used`: the role is granted, implied by another role, the granter of one, or in the policy for second factors. */
    async remove(
      name: string,
      { actor, at, decide, effects }: AdminChange<[before: RoleDefinition]>,
    ): Promise<'done' | 'unknown' | 'used'> {
      return db.transaction().execute(async (trx) => {
        decide(await lockAuthority(trx, actor, { lock: 'exclusive', at }));
        const before = (await roleDefinitions(trx)).find((one) => one.name === name);
        if (!before) return 'unknown';
        const { rows } = await sql<{ used: boolean }>`
          SELECT EXISTS (SELECT FROM user_roles WHERE role = ${name})
            OR EXISTS (SELECT FROM service_account_roles WHERE role = ${name})
            OR EXISTS (SELECT FROM role_implications WHERE implies = ${name})
            OR EXISTS (SELECT FROM roles WHERE granter = ${name} AND name <> ${name})
            OR EXISTS (SELECT FROM factor_policy WHERE ${name} = ANY (roles)) AS used
        `.execute(trx);
        if (rows[0]?.used) return 'used';
        await trx.deleteFrom('roles').where('name', '=', name).execute();
        await writeEffects(trx, newId, { at, effects: effects(before) });
        return 'done';
      });
    },

    /** Replaces the reason and expiry of an existing grant. `unknown`: the holder does not exist. */
    async grant(
      { holder, role, reason, expiresAt }: NewGrant,
      { actor, at, decide, effects }: AdminChange<[before: RoleGrant | null], [granted: string[]]>,
    ): Promise<'done' | 'unknown'> {
      return db.transaction().execute(async (trx) => {
        const authority = await lockAuthority(trx, actor, { lock: 'exclusive', at });
        const { table, column, id } = grantTableOf(holder);
        const isKnown = await lockHolder(trx, holder);
        const grants = await grantsOf(trx, holder);
        decide(
          authority,
          grants.map((one) => one.role),
        );
        if (!isKnown) return 'unknown';
        const before = grants.find((one) => one.role === role) ?? null;
        await sql`
          INSERT INTO ${table} (${column}, role, granted_at, granted_by, reason, expires_at)
          VALUES (${id}, ${role}, ${at}, ${actorName(actor)}, ${reason}, ${expiresAt})
          ON CONFLICT (${column}, role) DO UPDATE SET granted_at = excluded.granted_at, granted_by = excluded.granted_by,
            reason = excluded.reason, expires_at = excluded.expires_at
        `.execute(trx);
        await writeEffects(trx, newId, { at, effects: effects(before) });
        return 'done';
      });
    },

    /** `unheld`: the role is not granted, but another role can still imply it. */
    async revoke(
      { holder, role }: { holder: RoleHolder; role: string },
      { actor, at, decide, effects }: AdminChange<[before: RoleGrant]>,
    ): Promise<'done' | 'unknown' | 'unheld'> {
      return db.transaction().execute(async (trx) => {
        decide(await lockAuthority(trx, actor, { lock: 'exclusive', at }));
        const { table, column, id } = grantTableOf(holder);
        if (!(await lockHolder(trx, holder))) return 'unknown';
        const before = (await grantsOf(trx, holder)).find((one) => one.role === role);
        if (!before) return 'unheld';
        await sql`DELETE FROM ${table} WHERE ${column} = ${id} AND role = ${role}`.execute(trx);
        await writeEffects(trx, newId, { at, effects: effects(before) });
        return 'done';
      });
    },
  };
}

function minus(all: string[], some: string[]): string[] {
  return all.filter((one) => !some.includes(one));
}
