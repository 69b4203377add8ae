import { sql } from 'kysely';
import type { AudienceChoice } from '../domain/audience.ts';
import type { AuditEvent } from '../domain/audit-event.ts';
import type { Effect } from '../domain/effect.ts';
import type { SessionState } from '../domain/judge-refresh.ts';
import type { Authentication } from '../domain/reauthentication.ts';
import type { RevocableToken, RevocationStatus } from '../domain/revocation-status.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { type Holder, holderColumns, rolesCountAt, toHolder } from './user-columns.ts';
import { lockPresent, lockUser, type Present } from './user-locks.ts';

/** A live session with the number of its current token: what tokens are made from. */
export type Grant = Holder & {
  sessionId: string;
  counter: number;
  /** When the session ends if it is not used. */
  expiresAt: Date;
  audiences: AudienceChoice;
};

export type Session = Grant & SessionState;

/** Where a session is used, as far as that can be told. */
type Place = { address: string; userAgent: string };

export type NewSession = {
  id: string;
  userId: string;
  passwordEpoch: number;
  expiresAt: Date;
  endsBy: Date;
  place: Place;
  /** With which it is begun, and when the user authenticated there, as far as the provider says; null for a password. */
  identity: { id: string; authenticatedAt: Date | null } | null;
  audiences: AudienceChoice;
};

/** A session whose user has given the password again. */
export type Renewal = { sessionId: string; idleSeconds: number; place: Place };

/** For its owner to see. */
export type SessionSummary = { id: string; createdAt: Date; lastUsedAt: Date; expiresAt: Date } & Place;

export type Rotation = {
  sessionId: string;
  counter: number;
  requestId: string;
  idleSeconds: number;
  /** To which the session is narrowed; null leaves it as it is. */
  audiences: AudienceChoice;
  /** Those of the deployment. */
  allAudiences: string[];
};

/** As many as an answer has room for. */
const MAX_LISTED = 100;
const lastUsedAt = sql<Date>`coalesce(rotated_at, created_at)`;

export type Sessions = ReturnType<typeof createSessions>;

export function createSessions(db: Db, newId: () => string, clock: () => Date) {
  return {
    /**
     * False when the account's password changed, the account was disabled, or the identity was unlinked, since that was looked
     * at: the lock on the user's row makes this wait for a change under way, and makes the change see this session.
     * @param maxLive beyond so many the user's other sessions end, the one first that was not used for longest
     * @param effects for those that it ends
     */
    async open(
      session: NewSession,
      maxLive: number,
      now: Date,
      effects: (endedIds: string[]) => Effect[],
    ): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockUser(trx, session.userId, session.passwordEpoch))) return false;
        const { identity } = session;
        if (identity && !(await hasIdentity(trx, session.userId, identity.id))) return false;
        await trx
          .insertInto('sessions')
          .values({
            id: session.id,
            user_id: session.userId,
            created_at: now,
            expires_at: session.expiresAt,
            ends_by: session.endsBy,
            address: session.place.address,
            user_agent: session.place.userAgent,
            identity_id: identity?.id ?? null,
            provider_authenticated_at: identity?.authenticatedAt ?? null,
            audiences: session.audiences,
          })
          .execute();
        const ended = await trx
          .updateTable('sessions')
          .set({ ended_at: now })
          .where('ended_at', 'is', null)
          .where('id', 'in', (eb) =>
            eb
              .selectFrom('sessions')
              .select('id')
              .where('user_id', '=', session.userId)
              .where('ended_at', 'is', null)
              .where('expires_at', '>', now)
              .where('id', '!=', session.id)
              .orderBy(lastUsedAt, 'desc')
              .offset(maxLive - 1),
          )
          .returning('id')
          .execute();
        const endedIds = ended.map(({ id }) => id);
        await writeEffects(trx, newId, now, effects(endedIds));
        return true;
      });
    },

    /**
     * Replaces the current token if it has this number: one conditional statement, so that of parallel calls one wins.
     * Null when it is not the current token of a live session, or the session does not have the audiences.
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

    /** Null when the session has ended, or its user may not sign in. */
    async authenticationOf(userId: string, sessionId: string, signal?: AbortSignal): Promise<Authentication | null> {
      signal?.throwIfAborted();
      return authenticationOf(db, userId, sessionId);
    },

    /** Notes that the user has given the password, and replaces the refresh token. Null when they may not any more. */
    async reauthenticate(present: Present, renewal: Renewal, now: Date, effects: Effect[]): Promise<Grant | null> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockPresent(trx, present))) return null;
        const grant = await renewSession(trx, renewal, now);
        if (grant) await writeEffects(trx, newId, now, effects);
        return grant;
      });
    },

    /** Leaves the session these of its audiences. False unless it lives, its current token has this number, and it has them. */
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

    /** False when it had ended before. */
    async end(id: string, now: Date, effects: Effect[]): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        const ended = await trx
          .updateTable('sessions')
          .set({ ended_at: now })
          .where('id', '=', id)
          .where('ended_at', 'is', null)
          .executeTakeFirst();
        if (ended.numUpdatedRows !== 1n) return false;
        await writeEffects(trx, newId, now, effects);
        return true;
      });
    },

    /** Those that live, the one that was used last first. */
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

    /** Ends one session of a user, or all but one. Returns how many; null when the user may not do it any more. */
    async endOfUser(
      present: Present,
      which: { only: string } | { allBut: string },
      now: Date,
      effects: (ended: string[]) => Effect[],
    ): Promise<number | null> {
      return db.transaction().execute(async (trx) => {
        // Whoever ends several of a user's sessions takes turns.
        if (!(await lockPresent(trx, present))) return null;
        const ended = await trx
          .updateTable('sessions')
          .set({ ended_at: now })
          .where('user_id', '=', present.userId)
          .where('ended_at', 'is', null)
          .where('expires_at', '>', now)
          .where('id', 'only' in which ? '=' : '!=', 'only' in which ? which.only : which.allBut)
          .returning('id')
          .execute();
        await writeEffects(trx, newId, now, effects(ended.map(({ id }) => id)));
        return ended.length;
      });
    },

    /** The revocation status of each token, in their order. */
    async revocationStatuses(tokens: RevocableToken[], now: Date, signal?: AbortSignal): Promise<RevocationStatus[]> {
      signal?.throwIfAborted();
      const roles = await db.selectFrom('roles').select(['name', 'epoch']).execute();
      const roleEpochs = new Map(roles.map(({ name, epoch }) => [name, epoch]));
      const rows = await db
        .selectFrom('sessions')
        .innerJoin('users', 'users.id', 'sessions.user_id')
        .select(['sessions.id', 'user_id', 'claims_epoch'])
        .where('sessions.id', 'in', [...new Set(tokens.map(({ sessionId }) => sessionId))])
        .where('ended_at', 'is', null)
        .where('ends_by', '>', now)
        .where('disabled_at', 'is', null)
        .execute();
      const keys = await db
        .selectFrom('api_keys')
        .innerJoin('service_accounts', 'service_accounts.id', 'api_keys.service_account_id')
        .select(['api_keys.id', 'service_account_id as user_id', 'claims_epoch'])
        .where('api_keys.id', 'in', [...new Set(tokens.map(({ sessionId }) => sessionId))])
        .where('revoked_at', 'is', null)
        .where('disabled_at', 'is', null)
        .execute();
      const live = new Map([...rows, ...keys].map((row) => [row.id, row]));
      return tokens.map(({ sessionId, userId, epoch, roles: held, rolesEpoch }) => {
        const session = live.get(sessionId);
        if (!session || session.user_id !== userId) return 'revoked';
        const isStale = epoch < session.claims_epoch || held.some((role) => rolesEpoch < (roleEpochs.get(role) ?? 0));
        return isStale ? 'stale' : 'active';
      });
    },
  };
}

/**
 * For use inside a transaction that has locked the user. The counter passes over one token, which nobody gets: so the token
 * that was current is not the predecessor of the new one, which a replay would give to whoever has copied it.
 */
export async function renewSession(
  trx: Db,
  { sessionId, idleSeconds, place }: Renewal,
  now: Date,
): Promise<Grant | null> {
  const { numAffectedRows } = await sql`
    UPDATE sessions
    SET counter = counter + 2, rotated_at = ${now}, rotation_request_id = '', reauthenticated_at = ${now},
      reauthenticated_counter = counter + 2,
      address = ${place.address}, user_agent = ${place.userAgent},
      expires_at = least(${now}::timestamptz + make_interval(secs => ${idleSeconds}), ends_by)
    WHERE id = ${sessionId} AND ended_at IS NULL AND expires_at > ${now}
  `.execute(trx);
  return numAffectedRows === 1n ? sessionById(trx, sessionId, now) : null;
}

/** For use inside a transaction too. Null when the session has ended, or its user may not sign in. */
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

async function sessionById(db: Db, id: string, now: Date): Promise<Session | null> {
  const row = await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(holderColumns(now))
    .select(['sessions.id as session_id', 'counter', 'expires_at', 'audiences'])
    .select(['rotated_at', 'rotation_request_id'])
    // A session of a disabled user has ended, whatever its own row says.
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

async function hasIdentity(trx: Db, userId: string, id: string): Promise<boolean> {
  const row = await trx
    .selectFrom('identities')
    .select('id')
    .where('id', '=', id)
    .where('user_id', '=', userId)
    .executeTakeFirst();
  return row !== undefined;
}

type GrantRow = Parameters<typeof toHolder>[0] & {
  session_id: string;
  counter: string;
  expires_at: Date;
  audiences: string[] | null;
};

function toGrant(row: GrantRow): Grant {
  return {
    sessionId: row.session_id,
    counter: Number(row.counter),
    expiresAt: row.expires_at,
    audiences: row.audiences,
    ...toHolder(row),
  };
}
