import { sql } from 'kysely';
import type { Acr, Methods, Strength } from '../domain/acr.ts';
import type { AudienceChoice } from '../domain/audience.ts';
import type { SessionState } from '../domain/judge-refresh.ts';
import type { Authentication } from '../domain/reauthentication.ts';
import type { Db } from './postgres/database.ts';
import { type Holder, holderColumns, rolesOfSession, toHolder } from './user-columns.ts';

export type Grant = Holder & {
  sessionId: string;
  counter: number;
  /** The time when the session ends if it is not used. */
  expiresAt: Date;
  audiences: AudienceChoice;
  strength: Strength;
};

export type Session = Grant & SessionState;

/** Empty when unknown. */
export type SessionLocation = { address: string; userAgent: string };

/** The authentication that renews a session: its methods, and the factor that it used. */
type Renewing = Methods & {
  factorId?: string | null;
  isByFactor?: boolean;
  /** The password was changed after a step-up, which a password does not prolong. */
  keepsStepUp?: boolean;
};

export type Renewal = { sessionId: string; idleSeconds: number; location: SessionLocation; by: Renewing };

/**
 * A weaker authentication than the session's leaves `acr` and `authenticated_at` as they are. The counter skips one
 * token, which no client receives. Otherwise the former token would be the predecessor of the new one, and an attacker
 * with a copy of the former could replay it for the new one.
 */
export async function renewSession(
  trx: Db,
  {
    sessionId,
    idleSeconds,
    location,
    by: { acr, amr, factorId = null, isByFactor = false, keepsStepUp = false },
  }: Renewal,
  now: Date,
): Promise<Grant | null> {
  const { numAffectedRows } = await sql`
    UPDATE sessions
    SET counter = counter + 2, rotated_at = ${now}, rotation_request_id = '', reauthenticated_counter = counter + 2,
      reauthenticated_at = CASE WHEN ${keepsStepUp} THEN reauthenticated_at ELSE ${now} END,
      reauthenticated_by_factor = ${keepsStepUp || isByFactor},
      acr = CASE WHEN acr_rank(${acr}) > acr_rank(acr) THEN ${acr} ELSE acr END,
      amr = ARRAY(SELECT DISTINCT unnest(amr || ${amr}::text[]) COLLATE "C" ORDER BY 1),
      authenticated_at = CASE WHEN acr_rank(${acr}) >= acr_rank(acr) THEN ${now} ELSE authenticated_at END,
      factor_ids = CASE WHEN ${factorId}::uuid = ANY (factor_ids) THEN factor_ids
        ELSE array_remove(factor_ids || ${factorId}::uuid, NULL) END,
      address = ${location.address}, user_agent = ${location.userAgent},
      expires_at = least(${now}::timestamptz + make_interval(secs => ${idleSeconds}), ends_by)
    WHERE id = ${sessionId} AND ended_at IS NULL AND expires_at > ${now}
  `.execute(trx);
  return numAffectedRows === 1n ? sessionById(trx, sessionId, now) : null;
}

/** Null when the session has ended, or its user is disabled. */
export async function authenticationOf(db: Db, userId: string, sessionId: string): Promise<Authentication | null> {
  const row = await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(['password_hash', 'reauthenticated_at', 'reauthenticated_counter', 'provider_authenticated_at'])
    .select(['reauthenticated_by_factor', sql<boolean>`EXISTS (${factorsOf(db, userId)})`.as('has_factor')])
    .where('sessions.id', '=', sessionId)
    .where('user_id', '=', userId)
    .where('ended_at', 'is', null)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  if (!row) return null;
  return {
    hasPassword: row.password_hash !== null,
    hasFactor: row.has_factor,
    reauthenticatedAt: row.reauthenticated_at,
    reauthenticatedCounter: Number(row.reauthenticated_counter),
    reauthenticatedByFactor: row.reauthenticated_by_factor,
    providerAuthenticatedAt: row.provider_authenticated_at,
  };
}

function factorsOf(db: Db, userId: string) {
  return db.selectFrom('factors').select('id').where('user_id', '=', userId);
}

export async function sessionById(db: Db, id: string, now: Date): Promise<Session | null> {
  const row = await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(holderColumns(now, rolesOfSession))
    .select(['sessions.id as session_id', 'counter', 'expires_at', 'audiences', 'acr', 'amr'])
    .select((eb) => eb.fn.coalesce('authenticated_at', 'sessions.created_at').as('authenticated_at'))
    .select(['rotated_at', 'rotation_request_id'])
    // A session of a disabled user has ended.
    .select((eb) => eb.fn.coalesce('ended_at', 'disabled_at').as('ended_at'))
    .where('sessions.id', '=', id)
    .executeTakeFirst();
  if (!row) return null;
  return {
    ...toGrant(row),
    rotatedAt: row.rotated_at,
    rotationRequestId: row.rotation_request_id,
    endedAt: row.ended_at,
  };
}

export type GrantRow = Parameters<typeof toHolder>[0] & {
  session_id: string;
  counter: string;
  expires_at: Date;
  audiences: string[] | null;
  acr: Acr;
  amr: string[];
  authenticated_at: Date;
};

export function toGrant(row: GrantRow): Grant {
  return {
    sessionId: row.session_id,
    counter: Number(row.counter),
    expiresAt: row.expires_at,
    audiences: row.audiences,
    strength: { acr: row.acr, amr: row.amr, authTime: row.authenticated_at },
    ...toHolder(row),
  };
}
