import { sql } from 'kysely';
import type { AudienceChoice } from '../domain/audience.ts';
import type { SessionState } from '../domain/judge-refresh.ts';
import type { Authentication } from '../domain/reauthentication.ts';
import type { Db } from './postgres/database.ts';
import { type Holder, holderColumns, toHolder } from './user-columns.ts';

export type Grant = Holder & {
  sessionId: string;
  counter: number;
  /** The time when the session ends if it is not used. */
  expiresAt: Date;
  audiences: AudienceChoice;
};

export type Session = Grant & SessionState;

/** Empty when unknown. */
export type SessionLocation = { address: string; userAgent: string };

export type Renewal = { sessionId: string; idleSeconds: number; location: SessionLocation };

/**
 * The counter skips one token, which no client receives. Otherwise the former token would be the predecessor of the new
 * one, and an attacker with a copy of the former could replay it for the new one.
 */
export async function renewSession(
  trx: Db,
  { sessionId, idleSeconds, location }: Renewal,
  now: Date,
): Promise<Grant | null> {
  const { numAffectedRows } = await sql`
    UPDATE sessions
    SET counter = counter + 2, rotated_at = ${now}, rotation_request_id = '', reauthenticated_at = ${now},
      reauthenticated_counter = counter + 2,
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
    .where('sessions.id', '=', sessionId)
    .where('user_id', '=', userId)
    .where('ended_at', 'is', null)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  if (!row) return null;
  return {
    hasPassword: row.password_hash !== null,
    reauthenticatedAt: row.reauthenticated_at,
    reauthenticatedCounter: Number(row.reauthenticated_counter),
    providerAuthenticatedAt: row.provider_authenticated_at,
  };
}

export async function sessionById(db: Db, id: string, now: Date): Promise<Session | null> {
  const row = await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(holderColumns(now))
    .select(['sessions.id as session_id', 'counter', 'expires_at', 'audiences'])
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
};

export function toGrant(row: GrantRow): Grant {
  return {
    sessionId: row.session_id,
    counter: Number(row.counter),
    expiresAt: row.expires_at,
    audiences: row.audiences,
    ...toHolder(row),
  };
}
