import { sql } from 'kysely';
import type { AudienceChoice } from '../domain/audience.ts';
import type { AuditEvent } from '../domain/audit-event.ts';
import type { Effect } from '../domain/effect.ts';
import type { Authentication } from '../domain/reauthentication.ts';
import type { SessionEndReason } from '../domain/session-end.ts';
import { endSessions } from './end-sessions.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import {
  authenticationOf,
  type Grant,
  type GrantRow,
  type Renewal,
  renewSession,
  type Session,
  type SessionLocation,
  sessionById,
  toGrant,
} from './session-rows.ts';
import { rolesCountAt } from './user-columns.ts';
import { type AccountOwner, lockOwner, lockUser } from './user-locks.ts';

export type NewSession = {
  id: string;
  userId: string;
  passwordEpoch: number;
  expiresAt: Date;
  /** The latest time that use can extend `expiresAt` to. */
  endsBy: Date;
  location: SessionLocation;
  /** Null for a password. `authenticatedAt` is the time of the authentication at the provider, if it reports one. */
  identity: { id: string; authenticatedAt: Date | null } | null;
  audiences: AudienceChoice;
};

export type SessionSummary = { id: string; createdAt: Date; lastUsedAt: Date; expiresAt: Date } & SessionLocation;

export type Rotation = {
  sessionId: string;
  counter: number;
  requestId: string;
  idleSeconds: number;
  /** Narrows the session; null leaves it as it is. */
  audiences: AudienceChoice;
  allAudiences: string[];
};

/** A response has room for this many. */
const MAX_LISTED = 100;
const lastUsedAt = sql<Date>`coalesce(rotated_at, created_at)`;

export type Sessions = ReturnType<typeof createSessions>;

export function createSessions(db: Db, newId: () => string, clock: () => Date) {
  return {
    /**
     * The lock on the user's row serializes this with changes of the account: either they see this session, or this
     * sees them.
     * @param options `maxLive` bounds the user's live sessions: the least recently used ones end. `effects` receives
     *   their ids
     * @returns false when the password, the account or the identity has changed since the caller read them
     */
    async create(
      session: NewSession,
      { maxLive, at, effects }: { maxLive: number; at: Date; effects: (endedIds: string[]) => Effect[] },
    ): Promise<boolean> {
      const { id, userId, identity, location } = session;
      return db.transaction().execute(async (trx) => {
        if (!(await lockUser(trx, userId, session.passwordEpoch))) return false;
        if (identity && !(await hasIdentity(trx, userId, identity.id))) return false;
        await trx
          .insertInto('sessions')
          .values({
            id,
            user_id: userId,
            created_at: at,
            expires_at: session.expiresAt,
            ends_by: session.endsBy,
            address: location.address,
            user_agent: location.userAgent,
            identity_id: identity?.id ?? null,
            provider_authenticated_at: identity?.authenticatedAt ?? null,
            audiences: session.audiences,
          })
          .execute();
        const endedIds = await endSessions(trx, { at, reason: 'too_many_sessions' }, (eb) =>
          eb(
            'id',
            'in',
            eb
              .selectFrom('sessions')
              .select('id')
              .where('user_id', '=', userId)
              .where('ended_at', 'is', null)
              .where('expires_at', '>', at)
              .where('id', '!=', id)
              .orderBy(lastUsedAt, 'desc')
              .offset(maxLive - 1),
          ),
        );
        await writeEffects(trx, newId, { at, effects: effects(endedIds) });
        return true;
      });
    },

    /**
     * One conditional statement, so that one of several parallel calls succeeds. Null when the token is not the current
     * one of a live session, or the session lacks one of the audiences.
     */
    async rotate(rotation: Rotation, now: Date, event: AuditEvent): Promise<Grant | null> {
      const rolesAt = rolesCountAt(now);
      const { rows } = await sql<GrantRow>`
        WITH rotated AS (
          UPDATE sessions
          SET counter = counter + 1, rotated_at = ${now}, rotation_request_id = ${rotation.requestId},
            address = ${event.origin.address}, user_agent = ${event.origin.userAgent},
            expires_at = least(${now}::timestamptz + make_interval(secs => ${rotation.idleSeconds}), ends_by),
            audiences = coalesce(${rotation.audiences}::text[], audiences)
          FROM users
          WHERE sessions.id = ${rotation.sessionId} AND counter = ${rotation.counter} AND ended_at IS NULL
            AND expires_at > ${now} AND users.id = user_id AND disabled_at IS NULL
            AND (audiences IS NULL OR coalesce(
              ${rotation.audiences}::text[] <@ audiences, audiences && ${rotation.allAudiences}::text[]))
          RETURNING sessions.id AS session_id, counter, expires_at, audiences, users.id, email, full_name,
            email_verified_at, disabled_at, users.created_at, claims_epoch
        ), audited AS (
          INSERT INTO outbox (id, topic, payload, created_at)
          SELECT ${newId()}, 'audit', ${JSON.stringify(event)}::jsonb || jsonb_build_object('userId', id), ${now}
          FROM rotated
        )
        SELECT *, roles_of_user(id, ${rolesAt}) AS roles, (SELECT epoch FROM roles_epoch) AS roles_epoch,
          (SELECT min(user_roles.expires_at) FROM user_roles
            WHERE user_id = rotated.id AND user_roles.expires_at > ${rolesAt}) AS roles_until
        FROM rotated
      `.execute(db);
      return rows[0] ? toGrant(rows[0]) : null;
    },

    async byId(id: string, signal?: AbortSignal): Promise<Session | null> {
      signal?.throwIfAborted();
      return sessionById(db, id, clock());
    },

    async authenticationOf(userId: string, sessionId: string, signal?: AbortSignal): Promise<Authentication | null> {
      signal?.throwIfAborted();
      return authenticationOf(db, userId, sessionId);
    },

    /** Null when the owner may no longer change the account. */
    async reauthenticate(
      owner: AccountOwner,
      renewal: Renewal,
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<Grant | null> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockOwner(trx, owner))) return null;
        const grant = await renewSession(trx, renewal, at);
        if (grant) await writeEffects(trx, newId, { at, effects });
        return grant;
      });
    },

    /** False when the session has ended, its current token has another number, or it lacks one of the audiences. */
    async narrow(id: string, counter: number, audiences: string[]): Promise<boolean> {
      const narrowed = await db
        .updateTable('sessions')
        .set({ audiences })
        .where('id', '=', id)
        .where('counter', '=', sql<string>`${counter}`)
        .where('ended_at', 'is', null)
        .where(sql<boolean>`(audiences IS NULL OR ${audiences}::text[] <@ audiences)`)
        .executeTakeFirst();
      return narrowed.numUpdatedRows === 1n;
    },

    /** False when the session had ended before. */
    async end(
      id: string,
      reason: SessionEndReason,
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        const ended = await endSessions(trx, { at, reason }, (eb) => eb('id', '=', id));
        if (ended.length === 0) return false;
        await writeEffects(trx, newId, { at, effects });
        return true;
      });
    },

    /** The most recently used first. */
    async ofUser(userId: string, now: Date, signal?: AbortSignal): Promise<SessionSummary[]> {
      signal?.throwIfAborted();
      const rows = await db
        .selectFrom('sessions')
        .select(['id', 'created_at', 'expires_at', 'address', 'user_agent'])
        .select(lastUsedAt.as('last_used_at'))
        .where('user_id', '=', userId)
        .where('ended_at', 'is', null)
        .where('expires_at', '>', now)
        .orderBy('last_used_at', 'desc')
        .limit(MAX_LISTED)
        .execute();
      return rows.map((row) => ({
        id: row.id,
        createdAt: row.created_at,
        lastUsedAt: row.last_used_at,
        expiresAt: row.expires_at,
        address: row.address,
        userAgent: row.user_agent,
      }));
    },

    /** Returns how many; null when the owner may no longer change the account. */
    async endOfOwner(
      owner: AccountOwner,
      which: { only: string } | { allBut: string },
      { at, effects }: { at: Date; effects: (endedIds: string[]) => Effect[] },
    ): Promise<number | null> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockOwner(trx, owner))) return null;
        const endedIds = await endSessions(trx, { at, reason: 'revoked' }, (eb) =>
          eb.and([
            eb('user_id', '=', owner.userId),
            eb('expires_at', '>', at),
            'only' in which ? eb('id', '=', which.only) : eb('id', '!=', which.allBut),
          ]),
        );
        await writeEffects(trx, newId, { at, effects: effects(endedIds) });
        return endedIds.length;
      });
    },
  };
}

async function hasIdentity(trx: Db, userId: string, id: string): Promise<boolean> {
  const row = await trx
    .selectFrom('identities')
    .select('id')
    .where('id', '=', id)
    .where('user_id', '=', userId)
    .executeTakeFirst();
  return row !== undefined;
}
