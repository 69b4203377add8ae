import { sql } from 'kysely';
import type { AudienceChoice } from '../domain/audience.ts';
import type { Standing, StandingOf } from '../domain/change.ts';
import type { AuditEvent, Effect } from '../domain/effect.ts';
import type { SessionState } from '../domain/judge-refresh.ts';
import type { Db } from './database.ts';
import { writeEffects } from './outbox.ts';
import { type Holder, holderColumns, rolesCountAt, toHolder } from './user-columns.ts';
import { lockUser } from './user-locks.ts';

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
  /** With which it is begun; null for a password. */
  identityId: string | null;
  audiences: AudienceChoice;
};

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
        const { identityId } = session;
        if (identityId !== null && !(await hasIdentity(trx, session.userId, identityId))) return false;
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
            identity_id: identityId,
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
      const row = await db
        .selectFrom('sessions')
        .innerJoin('users', 'users.id', 'sessions.user_id')
        .select(holderColumns(clock()))
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

    /** When its user signed in; null when it has ended. */
    async startedAt(id: string, signal?: AbortSignal): Promise<Date | null> {
      signal?.throwIfAborted();
      const row = await db
        .selectFrom('sessions')
        .select('created_at')
        .where('id', '=', id)
        .where('ended_at', 'is', null)
        .executeTakeFirst();
      return row?.created_at ?? null;
    },

    /** Ends one session of a user, or all but one. Returns how many. */
    async endOfUser(
      userId: string,
      which: { only: string } | { allBut: string },
      now: Date,
      effects: (ended: string[]) => Effect[],
    ): Promise<number> {
      return db.transaction().execute(async (trx) => {
        // Whoever ends several of a user's sessions takes turns.
        await trx.selectFrom('users').select('id').where('id', '=', userId).forNoKeyUpdate().execute();
        const ended = await trx
          .updateTable('sessions')
          .set({ ended_at: now })
          .where('user_id', '=', userId)
          .where('ended_at', 'is', null)
          .where('expires_at', '>', now)
          .where('id', 'only' in which ? '=' : '!=', 'only' in which ? which.only : which.allBut)
          .returning('id')
          .execute();
        await writeEffects(trx, newId, now, effects(ended.map(({ id }) => id)));
        return ended.length;
      });
    },

    /** What has become of each session and its user, or key and its service, since a token was signed for them; in their order. */
    async standings(of: StandingOf[], now: Date, signal?: AbortSignal): Promise<Standing[]> {
      signal?.throwIfAborted();
      const roles = await db.selectFrom('roles').select(['name', 'epoch']).execute();
      const roleEpochs = new Map(roles.map(({ name, epoch }) => [name, epoch]));
      const rows = await db
        .selectFrom('sessions')
        .innerJoin('users', 'users.id', 'sessions.user_id')
        .select(['sessions.id', 'user_id', 'claims_epoch'])
        .where('sessions.id', 'in', [...new Set(of.map(({ sessionId }) => sessionId))])
        .where('ended_at', 'is', null)
        .where('ends_by', '>', now)
        .where('disabled_at', 'is', null)
        .execute();
      const keys = await db
        .selectFrom('api_keys')
        .innerJoin('service_accounts', 'service_accounts.id', 'api_keys.service_account_id')
        .select(['api_keys.id', 'service_account_id as user_id', 'claims_epoch'])
        .where('api_keys.id', 'in', [...new Set(of.map(({ sessionId }) => sessionId))])
        .where('revoked_at', 'is', null)
        .where('disabled_at', 'is', null)
        .execute();
      const live = new Map([...rows, ...keys].map((row) => [row.id, row]));
      return of.map(({ sessionId, userId, epoch, roles: held, rolesEpoch }) => {
        const session = live.get(sessionId);
        if (!session || session.user_id !== userId) return 'ended';
        const isStale = epoch < session.claims_epoch || held.some((role) => rolesEpoch < (roleEpochs.get(role) ?? 0));
        return isStale ? 'stale' : 'live';
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
