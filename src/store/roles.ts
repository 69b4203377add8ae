// Roles, what they imply, and who holds them. Definitions change one at a time; triggers maintain the closure and
// write revocation events (migrations/0001_baseline.sql).
import { type RawBuilder, sql } from 'kysely';
import { type Actor, actorName } from '../domain/actor.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Effect } from '../domain/effect.ts';
import { isReauthenticated } from '../domain/reauthentication.ts';
import { ADMIN_ROLE } from '../domain/role.ts';
import type { RoleDefinition, RoleGraph } from '../domain/role-graph.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { authenticationOf } from './sessions.ts';

/** `expiresAt` is null for good. `grantedBy` is as in audit events; empty for what came with the account or by SQL. */
export type RoleGrant = { role: string; grantedAt: Date; grantedBy: string; reason: string; expiresAt: Date | null };

/** Who holds a role: one of the two. */
export type Holds = { userId: string } | { serviceAccountId: string };

export type NewGrant = Pick<RoleGrant, 'role' | 'reason' | 'expiresAt'> & { holder: Holds };

/**
 * What the rule of who may grant what is judged by. No administrator changes it before the commit; but a grant may run out, who
 * holds it may delete their account, and an operator may do anything by SQL.
 */
export type Judged = {
  graph: RoleGraph;
  /** Null for an operator, who may everything. */
  actorRoles: string[] | null;
};

export type Roles = ReturnType<typeof createRoles>;

export function createRoles(db: Db, newId: () => string) {
  return {
    all: () => definitions(db),

    /**
     * Adds the role, or makes it what is given.
     * @param decide throws when it must not be
     * @param effects told what it was before; null when it is new
     */
    async define(
      role: RoleDefinition,
      actor: Actor,
      now: Date,
      decide: (judged: Judged) => void,
      effects: (before: RoleDefinition | null) => Effect[],
    ): Promise<void> {
      await db.transaction().execute(async (trx) => {
        decide(await judge(trx, actor, 'exclusive', now));
        const before = (await definitions(trx)).find(({ name }) => name === role.name) ?? null;
        const { name, description, granter } = role;
        await trx
          .insertInto('roles')
          .values({ name, description, granter })
          .onConflict((conflict) => conflict.column('name').doUpdateSet({ description, granter }))
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
        await writeEffects(trx, newId, now, effects(before));
      });
    },

    /** `used`: somebody holds it, or another role implies it or is granted by those who hold it. */
    async remove(
      name: string,
      actor: Actor,
      now: Date,
      decide: (judged: Judged) => void,
      effects: (before: RoleDefinition) => Effect[],
    ): Promise<'done' | 'unknown' | 'used'> {
      return db.transaction().execute(async (trx) => {
        decide(await judge(trx, actor, 'exclusive', now));
        const before = (await definitions(trx)).find((one) => one.name === name);
        if (!before) return 'unknown';
        const { rows } = await sql<{ used: boolean }>`
          SELECT EXISTS (SELECT FROM user_roles WHERE role = ${name})
            OR EXISTS (SELECT FROM service_account_roles WHERE role = ${name})
            OR EXISTS (SELECT FROM role_implications WHERE implies = ${name})
            OR EXISTS (SELECT FROM roles WHERE granter = ${name} AND name <> ${name}) AS used
        `.execute(trx);
        if (rows[0]?.used) return 'used';
        await trx.deleteFrom('roles').where('name', '=', name).execute();
        await writeEffects(trx, newId, now, effects(before));
        return 'done';
      });
    },

    /** Adds the grant, or gives it another reason and end. `unknown`: there is no such holder. */
    async grant(
      grant: NewGrant,
      actor: Actor,
      now: Date,
      decide: (judged: Judged, held: string[]) => void,
      effects: (before: RoleGrant | null) => Effect[],
    ): Promise<'done' | 'unknown'> {
      return db.transaction().execute(async (trx) => {
        // Two who take one another's right do it one after the other: the second has it no more.
        const judged = await judge(trx, actor, 'exclusive', now);
        const { holder, role, reason, expiresAt } = grant;
        const { table, column, id } = placeOf(holder);
        const isKnown = await isThere(trx, holder);
        const grants = await grantsOf(trx, holder);
        decide(
          judged,
          grants.map((one) => one.role),
        );
        if (!isKnown) return 'unknown';
        const before = grants.find((one) => one.role === role) ?? null;
        await sql`
          INSERT INTO ${table} (${column}, role, granted_at, granted_by, reason, expires_at)
          VALUES (${id}, ${role}, ${now}, ${actorName(actor)}, ${reason}, ${expiresAt})
          ON CONFLICT (${column}, role) DO UPDATE SET granted_at = excluded.granted_at, granted_by = excluded.granted_by,
            reason = excluded.reason, expires_at = excluded.expires_at
        `.execute(trx);
        await writeEffects(trx, newId, now, effects(before));
        return 'done';
      });
    },

    /** `unheld`: they were not granted it; it may come with another one. */
    async revoke(
      { holder, role }: { holder: Holds; role: string },
      actor: Actor,
      now: Date,
      decide: (judged: Judged) => void,
      effects: (before: RoleGrant) => Effect[],
    ): Promise<'done' | 'unknown' | 'unheld'> {
      return db.transaction().execute(async (trx) => {
        decide(await judge(trx, actor, 'exclusive', now));
        const { table, column, id } = placeOf(holder);
        if (!(await isThere(trx, holder))) return 'unknown';
        const before = (await grantsOf(trx, holder)).find((one) => one.role === role);
        if (!before) return 'unheld';
        await sql`DELETE FROM ${table} WHERE ${column} = ${id} AND role = ${role}`.execute(trx);
        await writeEffects(trx, newId, now, effects(before));
        return 'done';
      });
    },
  };
}

/**
 * Begins the transaction of every change that an administrator makes. Holds back what other administrators change, or only waits
 * for it, until the commit. `shared` is for changes that touch no row of the actor.
 * @throws AuthError as assertMayAct
 */
export async function judge(trx: Db, actor: Actor, lock: 'exclusive' | 'shared', now: Date): Promise<Judged> {
  const take = lock === 'exclusive' ? sql`pg_advisory_xact_lock` : sql`pg_advisory_xact_lock_shared`;
  await sql`SELECT ${take}(hashtext('latchkey roles'))`.execute(trx);
  const actorRoles = await assertMayAct(trx, actor, now);
  const defined = await definitions(trx);
  return { graph: new Map(defined.map((one) => [one.name, one])), actorRoles };
}

/**
 * The call was authorized before this transaction began. Until the commit nobody ends the actor's session, revokes their key or
 * disables them.
 * @returns the roles that the actor holds; null for an operator
 * @throws AuthError TOKEN_REVOKED, TOKEN_INVALID, REAUTHENTICATION_REQUIRED or PERMISSION_DENIED
 */
async function assertMayAct(trx: Db, actor: Actor, now: Date): Promise<string[] | null> {
  if (actor.kind === 'operator') return null;
  const isUser = actor.kind === 'user';
  if (!(await (isUser ? lockSession(trx, actor, now) : lockKey(trx, actor, now)))) {
    throw new AuthError(isUser ? 'TOKEN_REVOKED' : 'TOKEN_INVALID');
  }
  if (isUser) await assertReauthenticated(trx, actor, now);
  const roles = isUser
    ? sql`roles_of_user(${actor.userId}, ${now})`
    : sql`roles_of_service(${actor.serviceAccountId}, ${now})`;
  // A statement of its own: its snapshot is of after the lock.
  const { rows } = await sql<{ roles: string[] }>`SELECT ${roles} AS roles`.execute(trx);
  const held = rows[0]?.roles ?? [];
  if (!held.includes(ADMIN_ROLE)) throw new AuthError('PERMISSION_DENIED');
  return held;
}

async function assertReauthenticated(trx: Db, actor: Extract<Actor, { kind: 'user' }>, now: Date): Promise<void> {
  const { userId, sessionId, refreshCounter, reauthenticatedWithin } = actor;
  if (reauthenticatedWithin === undefined) return;
  const authentication = await authenticationOf(trx, userId, sessionId);
  if (!authentication || !isReauthenticated(authentication, refreshCounter, now, reauthenticatedWithin)) {
    throw new AuthError('REAUTHENTICATION_REQUIRED');
  }
}

/** False when the session has ended, or its user is disabled or deleted. */
async function lockSession(trx: Db, actor: Extract<Actor, { kind: 'user' }>, now: Date): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM users JOIN sessions ON user_id = users.id
    WHERE users.id = ${actor.userId} AND sessions.id = ${actor.sessionId}
      AND disabled_at IS NULL AND ended_at IS NULL AND ends_by > ${now}
    FOR SHARE
  `.execute(trx);
  return rows.length > 0;
}

/** False when the key is revoked or has expired, or its account is disabled or deleted. */
async function lockKey(trx: Db, actor: Extract<Actor, { kind: 'service' }>, now: Date): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM service_accounts JOIN api_keys ON service_account_id = service_accounts.id
    WHERE service_accounts.id = ${actor.serviceAccountId} AND api_keys.id = ${actor.keyId}
      AND disabled_at IS NULL AND revoked_at IS NULL AND expires_at > ${now}
    FOR SHARE
  `.execute(trx);
  return rows.length > 0;
}

async function definitions(db: Db): Promise<RoleDefinition[]> {
  return db
    .selectFrom('roles')
    .select(['name', 'description', 'granter'])
    .select(
      sql<
        string[]
      >`ARRAY(SELECT implies FROM role_implications WHERE role = roles.name ORDER BY implies COLLATE "C")`.as(
        'implies',
      ),
    )
    .orderBy(sql`name COLLATE "C"`)
    .execute();
}

/** What somebody was granted, with what has run out and was not removed yet. */
export async function grantsOf(db: Db, holder: Holds): Promise<RoleGrant[]> {
  const place = placeOf(holder);
  return (await grantsAt(db, place, [place.id])).get(place.id) ?? [];
}

/** The same of several service accounts, by id. */
export function grantsOfServices(db: Db, serviceAccountIds: string[]): Promise<Map<string, RoleGrant[]>> {
  return grantsAt(db, OF_SERVICES, serviceAccountIds);
}

async function grantsAt(db: Db, { table, column }: Place, ids: string[]): Promise<Map<string, RoleGrant[]>> {
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
  return new Map([...byHolder].map(([holder, theirs]) => [holder, theirs.map(({ grant }) => grant)]));
}

type GrantRow = {
  holder: string;
  role: string;
  granted_at: Date;
  granted_by: string | null;
  reason: string;
  expires_at: Date | null;
};

/** Where grants of one kind of holder are. */
type Place = { holders: RawBuilder<unknown>; table: RawBuilder<unknown>; column: RawBuilder<unknown> };

const OF_USERS: Place = { holders: sql.table('users'), table: sql.table('user_roles'), column: sql.ref('user_id') };
const OF_SERVICES: Place = {
  holders: sql.table('service_accounts'),
  table: sql.table('service_account_roles'),
  column: sql.ref('service_account_id'),
};

function placeOf(holder: Holds): Place & { id: string } {
  if ('userId' in holder) return { ...OF_USERS, id: holder.userId };
  return { ...OF_SERVICES, id: holder.serviceAccountId };
}

/** Locks the row, so that parallel changes of one holder's grants take turns. */
async function isThere(trx: Db, holder: Holds): Promise<boolean> {
  const { holders, id } = placeOf(holder);
  const { rows } = await sql`SELECT FROM ${holders} WHERE id = ${id} FOR NO KEY UPDATE`.execute(trx);
  return rows.length > 0;
}

function minus(all: string[], some: string[]): string[] {
  return all.filter((one) => !some.includes(one));
}
