// The sessions, sign-ins and e-mails of one user, for administrators.
import { sql } from 'kysely';
import type { SessionEndReason } from '../domain/session-end.ts';
import { type ForMails, type MailRecord, mergeMails } from './merge-mails.ts';
import type { Db } from './postgres/database.ts';

export type SessionRecord = {
  id: string;
  createdAt: Date;
  lastUsedAt: Date;
  expiresAt: Date;
  address: string;
  userAgent: string;
  /** Null for an active session. */
  endedAt: Date | null;
  /** Null for an active session, and for one that an earlier release ended. */
  endReason: SessionEndReason | 'expired' | null;
  /** The actor of the administrative change that ended it. */
  endedBy: string | null;
};

export type SignIn = {
  at: Date;
  isSuccess: boolean;
  /** Null for a success. */
  cause: string | null;
  sessionId: string | null;
  address: string;
  userAgent: string;
};

export type UserHistory = ReturnType<typeof createUserHistory>;

export function createUserHistory(db: Db, clock: () => Date) {
  return {
    /** The newest first. @param before the id of the last session of the page before, or empty */
    async sessions(userId: string, before: string, atMost: number): Promise<SessionRecord[]> {
      const now = clock();
      const { rows } = await sql<SessionRecord>`
        SELECT id, created_at AS "createdAt", coalesce(rotated_at, created_at) AS "lastUsedAt",
          expires_at AS "expiresAt", address, user_agent AS "userAgent",
          CASE WHEN expires_at <= ${now} THEN least(ended_at, expires_at) ELSE ended_at END AS "endedAt",
          CASE WHEN expires_at <= ${now} AND (ended_at IS NULL OR ended_at > expires_at) THEN 'expired'
            ELSE end_reason END AS "endReason",
          CASE WHEN ended_at <= expires_at THEN ended_by END AS "endedBy"
        FROM sessions
        WHERE user_id = ${userId} AND (${before} = '' OR id < nullif(${before}, '')::uuid)
        ORDER BY id DESC LIMIT ${atMost}
      `.execute(db);
      return rows;
    },

    /** The newest first, as far as a worker has recorded them. */
    async signIns(userId: string, atMost: number): Promise<SignIn[]> {
      const { rows } = await sql<SignIn>`
        SELECT occurred_at AS at, type = 'login_succeeded' AS "isSuccess",
          CASE WHEN type <> 'login_succeeded' THEN detail END AS cause,
          session_id AS "sessionId", address, user_agent AS "userAgent"
        FROM audit_events
        WHERE user_id = ${userId} AND type IN ('login_succeeded', 'login_failed', 'factor_failed')
          -- A failed step-up belongs to a session.
          AND (type <> 'factor_failed' OR session_id IS NULL)
        ORDER BY seq DESC LIMIT ${atMost}
      `.execute(db);
      return rows;
    },

    /** The newest first. An e-mail to a former address that has not been sent is not found. */
    async mails({ id, email }: { id: string; email: string }, atMost: number): Promise<MailRecord[]> {
      const { rows: queued } = await sql<ForMails['queued']>`
        SELECT id, payload ->> 'template' AS template, created_at AS at, attempts, last_error AS error,
          dead_at AS "deadAt", next_attempt_at AS "nextAttemptAt", coalesce(claimed_until > now(), false) AS "isClaimed"
        FROM outbox WHERE topic = 'mail' AND (payload ->> 'userId' = ${id} OR payload ->> 'email' = ${email})
        ORDER BY id DESC LIMIT ${atMost}
      `.execute(db);
      const { rows: results } = await sql<ForMails['result']>`
        (SELECT payload ->> 'type' AS type, created_at AS at, payload ->> 'detail' AS template,
          payload ->> 'target' AS target, payload -> 'after' AS after
        FROM outbox
        WHERE payload ->> 'type' IN ('mail_sent', 'mail_expired', 'mail_failed') AND payload ->> 'userId' = ${id}
        ORDER BY id DESC LIMIT ${atMost})
        UNION ALL
        (SELECT type, occurred_at, detail, target, after
        FROM audit_events WHERE user_id = ${id} AND type IN ('mail_sent', 'mail_expired', 'mail_failed')
        ORDER BY seq DESC LIMIT ${atMost})
      `.execute(db);
      return mergeMails(queued, results).slice(0, atMost);
    },
  };
}
