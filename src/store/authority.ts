// The authority of an administrator is read and locked in the transaction of the change that it allows.
import { sql } from 'kysely';
import { type Acr, stepUpForRole } from '../domain/acr.ts';
import type { Actor } from '../domain/actor.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Effect } from '../domain/effect.ts';
import { isReauthenticated } from '../domain/reauthentication.ts';
import { ADMIN_ROLE } from '../domain/role.ts';
import type { RoleDefinition, RoleGraph } from '../domain/role-graph.ts';
import type { Db } from './postgres/database.ts';
import { acrForRole } from './role-grants.ts';
import { authenticationOf } from './session-rows.ts';

/**
 * The input of the granter rule. No administrator can change it before the commit. A grant can still expire, its holder
 * can delete their account, and an operator can change rows by SQL.
 */
export type Authority = {
  graph: RoleGraph;
  /** Null for an operator: the rule does not apply. */
  actorRoles: string[] | null;
  /** The strength of the actor's session. Null for a service or an operator. */
  actorAcr: Acr | null;
};

/** `Before` is the state before the change, `Target` its object. */
export type AdminChange<Before extends unknown[] = [], Target extends unknown[] = []> = {
  actor: Actor;
  at: Date;
  /** Throws when the change is not allowed. */
  decide: (authority: Authority, ...target: Target) => void;
  effects: (...before: Before) => Effect[];
};

/**
 * The first statement of every change by an administrator (docs/decisions/role-lock.md).
 * @param lock `exclusive` excludes all other changes of administrators: of two who disable each other, only one
 *   succeeds. `shared` is for changes that touch no row of another administrator
 * @throws AuthError as assertMayAct
 */
export async function lockAuthority(
  trx: Db,
  actor: Actor,
  { lock, at }: { lock: 'exclusive' | 'shared'; at: Date },
): Promise<Authority> {
  const acquire = lock === 'exclusive' ? sql`pg_advisory_xact_lock` : sql`pg_advisory_xact_lock_shared`;
  await sql`SELECT ${acquire}(hashtext('latchkey roles'))`.execute(trx);
  const acting = await assertMayAct(trx, actor, at);
  const defined = await roleDefinitions(trx);
  return { graph: new Map(defined.map((one) => [one.name, one])), ...acting };
}

/**
 * Repeats the authorization of the call, and locks the actor's session or key until the commit.
 * @returns for a user the roles that the session is strong enough for
 * @throws AuthError TOKEN_REVOKED, TOKEN_INVALID, REAUTHENTICATION_REQUIRED, STEP_UP_REQUIRED or PERMISSION_DENIED
 */
async function assertMayAct(trx: Db, actor: Actor, at: Date): Promise<Omit<Authority, 'graph'>> {
  if (actor.kind === 'operator') return { actorRoles: null, actorAcr: null };
  const actorAcr = actor.kind === 'user' ? await lockSession(trx, actor, at) : await lockKey(trx, actor, at);
  if (actor.kind === 'user') await assertReauthenticated(trx, actor, at);
  const roles =
    actor.kind === 'user'
      ? sql`roles_of_session(${actor.userId}, ${at}, ${actorAcr})`
      : sql`roles_of_service(${actor.serviceAccountId}, ${at})`;
  // A separate statement, because its snapshot must be newer than the lock.
  const { rows } = await sql<{ roles: string[] }>`SELECT ${roles} AS roles`.execute(trx);
  const actorRoles = rows[0]?.roles ?? [];
  if (actorRoles.includes(ADMIN_ROLE)) return { actorRoles, actorAcr };
  if (actor.kind === 'user' && actorAcr !== null) {
    const required = stepUpForRole(actorAcr, await acrForRole(trx, { userId: actor.userId, role: ADMIN_ROLE, at }));
    if (required) throw new AuthError('STEP_UP_REQUIRED', { required });
  }
  throw new AuthError('PERMISSION_DENIED');
}

async function assertReauthenticated(trx: Db, actor: Extract<Actor, { kind: 'user' }>, at: Date): Promise<void> {
  const { userId, sessionId, refreshCounter, reauthenticatedWithin } = actor;
  if (reauthenticatedWithin === undefined) return;
  const authentication = await authenticationOf(trx, userId, sessionId);
  if (!authentication || !isReauthenticated(authentication, refreshCounter, at, reauthenticatedWithin)) {
    throw new AuthError('REAUTHENTICATION_REQUIRED');
  }
}

async function lockSession(trx: Db, actor: Extract<Actor, { kind: 'user' }>, at: Date): Promise<Acr> {
  const { rows } = await sql<{ acr: Acr }>`
    SELECT acr FROM users JOIN sessions ON user_id = users.id
    WHERE users.id = ${actor.userId} AND sessions.id = ${actor.sessionId}
      AND disabled_at IS NULL AND ended_at IS NULL AND ends_by > ${at}
    FOR SHARE
  `.execute(trx);
  if (!rows[0]) throw new AuthError('TOKEN_REVOKED');
  return rows[0].acr;
}

async function lockKey(trx: Db, actor: Extract<Actor, { kind: 'service' }>, at: Date): Promise<null> {
  const { rows } = await sql`
    SELECT FROM service_accounts JOIN api_keys ON service_account_id = service_accounts.id
    WHERE service_accounts.id = ${actor.serviceAccountId} AND api_keys.id = ${actor.keyId}
      AND disabled_at IS NULL AND revoked_at IS NULL AND expires_at > ${at}
    FOR SHARE
  `.execute(trx);
  if (rows.length === 0) throw new AuthError('TOKEN_INVALID');
  return null;
}

export async function roleDefinitions(db: Db): Promise<RoleDefinition[]> {
  return db
    .selectFrom('roles')
    .select(['name', 'description', 'granter', 'required_acr as requiredAcr'])
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
