import { type RawBuilder, sql } from 'kysely';
import { ACRS, type Acr } from '../domain/acr.ts';
import type { Db } from './postgres/database.ts';

/** `expiresAt` is null for a permanent grant. `grantedBy` is empty for a grant that came with the account or by SQL. */
export type RoleGrant = { role: string; grantedAt: Date; grantedBy: string; reason: string; expiresAt: Date | null };

export type RoleHolder = { userId: string } | { serviceAccountId: string };

export type NewGrant = Pick<RoleGrant, 'role' | 'reason' | 'expiresAt'> & { holder: RoleHolder };

/** The weakest strength with which a session of the user has the role. Null when the user does not hold it. */
export async function acrForRole(
  db: Db,
  { userId, role, at }: { userId: string; role: string; at: Date },
): Promise<Acr | null> {
  const { rows } = await sql<{ strength: number | null }>`
    SELECT min(strength) AS strength FROM user_roles JOIN role_closure USING (role)
    WHERE user_id = ${userId} AND implied = ${role} AND (expires_at IS NULL OR expires_at > ${at})
  `.execute(db);
  const strength = rows[0]?.strength ?? null;
  return strength === null ? null : (ACRS[strength - 1] ?? null);
}

/** Includes expired grants that have not been removed yet. */
export async function grantsOf(db: Db, holder: RoleHolder): Promise<RoleGrant[]> {
  const table = grantTableOf(holder);
  return (await readGrants(db, table, [table.id])).get(table.id) ?? [];
}

export function grantsOfServices(db: Db, serviceAccountIds: string[]): Promise<Map<string, RoleGrant[]>> {
  return readGrants(db, OF_SERVICES, serviceAccountIds);
}

async function readGrants(db: Db, { table, column }: GrantTable, ids: string[]): Promise<Map<string, RoleGrant[]>> {
  const { rows } = await sql<GrantRow>`
    SELECT ${column} AS holder, role, granted_at, granted_by, reason, expires_at
    FROM ${table} WHERE ${column} = ANY(${ids}) ORDER BY role
  `.execute(db);
  const grants = rows.map((row) => ({
    holder: row.holder,
    grant: {
      role: row.role,
      grantedAt: row.granted_at,
      grantedBy: row.granted_by ?? '',
      reason: row.reason,
      expiresAt: row.expires_at,
    },
  }));
  const byHolder = Map.groupBy(grants, ({ holder }) => holder);
  return new Map([...byHolder].map(([holder, of]) => [holder, of.map(({ grant }) => grant)]));
}

type GrantRow = {
  holder: string;
  role: string;
  granted_at: Date;
  granted_by: string | null;
  reason: string;
  expires_at: Date | null;
};

type GrantTable = { holders: RawBuilder<unknown>; table: RawBuilder<unknown>; column: RawBuilder<unknown> };

const OF_USERS: GrantTable = {
  holders: sql.table('users'),
  table: sql.table('user_roles'),
  column: sql.ref('user_id'),
};
const OF_SERVICES: GrantTable = {
  holders: sql.table('service_accounts'),
  table: sql.table('service_account_roles'),
  column: sql.ref('service_account_id'),
};

export function grantTableOf(holder: RoleHolder): GrantTable & { id: string } {
  if ('userId' in holder) return { ...OF_USERS, id: holder.userId };
  return { ...OF_SERVICES, id: holder.serviceAccountId };
}

/** Serializes changes of one holder's grants. False when the holder does not exist. */
export async function lockHolder(trx: Db, holder: RoleHolder): Promise<boolean> {
  const { holders, id } = grantTableOf(holder);
  const { rows } = await sql`SELECT FROM ${holders} WHERE id = ${id} FOR NO KEY UPDATE`.execute(trx);
  return rows.length > 0;
}
