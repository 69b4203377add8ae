import { sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import type { Factor } from '../domain/factor.ts';
import { endSessions } from './end-sessions.ts';
import { deleteFactorsSince } from './factors.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { isUniqueViolation } from './postgres/violation.ts';
import { lockReauthenticatedOwner, type ReauthenticatedOwner } from './user-locks.ts';

export type UndoneChange = {
  userId: string;
  restored: Email;
  /** The address before the undo; null when it is the same. */
  replaced: Email | null;
  unlinked: string[];
  removedFactors: Pick<Factor, 'id' | 'kind'>[];
};

export type EmailChanges = ReturnType<typeof createEmailChanges>;

/** An attacker may have linked an identity or added a factor of their own before they requested the change. */
const SUSPECT_BEFORE_MS = 7 * 86_400_000;

export function createEmailChanges(db: Db, newId: () => string) {
  return {
    /** False when the owner may no longer change the account. */
    async create(
      id: string,
      owner: ReauthenticatedOwner,
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockReauthenticatedOwner(trx, owner))) return false;
        await sql`
          INSERT INTO email_changes (id, user_id, old_email, old_email_verified_at, asked_at)
          SELECT ${id}, id, email, email_verified_at, ${at}::timestamptz FROM users WHERE id = ${owner.userId}
        `.execute(trx);
        await writeEffects(trx, newId, { at, effects });
        return true;
      });
    },

    isReserved: (email: Email, userId: string | null, at: Date) => isReserved(db, email, userId, at),

    /**
     * Restores the former address, removes the password, ends the sessions and every later change, and removes
     * identities and factors that were added lately. One of several parallel calls succeeds. Null when the undo is no longer
     * possible.
     */
    async undo(id: string, at: Date, effects: (undone: UndoneChange) => Effect[]): Promise<UndoneChange | null> {
      const undoing = db.transaction().execute(async (trx) => {
        const account = await lockAccountOf(trx, id);
        const change = account && (await endChange(trx, id, at));
        if (!account || !change) return null;
        const { userId } = account;
        const { old_email: restored, old_email_verified_at: verifiedAt, asked_at: askedAt } = change;
        await sql`
          UPDATE email_changes SET ended_at = ${at}
          WHERE user_id = ${userId} AND ended_at IS NULL AND (asked_at >= ${askedAt} OR old_email = ${restored})
        `.execute(trx);
        const since = new Date(askedAt.getTime() - SUSPECT_BEFORE_MS);
        const removedFactors = await deleteFactorsSince(trx, userId, since);
        const { rows: unlinked } = await sql<{ provider: string }>`
          DELETE FROM identities USING users
          WHERE user_id = users.id AND users.id = ${userId} AND identities.created_at > users.created_at
            AND identities.created_at > ${since}
          RETURNING provider
        `.execute(trx);
        await sql`
          UPDATE users SET email = ${restored}, password_hash = NULL, password_epoch = password_epoch + 1,
            email_verified_at = CASE email WHEN ${restored} THEN email_verified_at ELSE ${verifiedAt}::timestamptz END
          WHERE id = ${userId}
        `.execute(trx);
        await endSessions(trx, { at, reason: 'email_change_undone' }, (eb) => eb('user_id', '=', userId));
        const replaced = account.email === restored ? null : account.email;
        const undone = {
          userId,
          restored,
          replaced,
          unlinked: unlinked.map(({ provider }) => provider),
          removedFactors,
        };
        await writeEffects(trx, newId, { at, effects: effects(undone) });
        return undone;
      });
      return undoing.catch((error: unknown) => {
        if (isUniqueViolation(error, 'users_email_key')) return null;
        throw error;
      });
    },
  };
}

/** @param userId whose own former addresses do not count; null for none */
export async function isReserved(db: Db, email: Email, userId: string | null, at: Date): Promise<boolean> {
  const { rows } = await sql<{ reserved: boolean }>`
    SELECT email_reserved(${email}, ${userId}, ${at}) AS reserved
  `.execute(db);
  return rows[0]?.reserved ?? false;
}

export async function isUndoable(db: Db, userId: string, at: Date): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM email_changes WHERE user_id = ${userId} AND changed_at IS NOT NULL AND ended_at IS NULL
      AND undo_ends_at(asked_at, changed_at) > ${at} LIMIT 1
  `.execute(db);
  return rows.length > 0;
}

/** Locks the user's row before the row of the change, as in every transaction. A disabled account is locked too. */
async function lockAccountOf(trx: Db, changeId: string): Promise<{ userId: string; email: Email } | null> {
  const { rows } = await sql<{ userId: string; email: Email }>`
    SELECT id AS "userId", email FROM users
    WHERE id = (SELECT user_id FROM email_changes WHERE id = ${changeId}) FOR UPDATE
  `.execute(trx);
  return rows[0] ?? null;
}

async function endChange(trx: Db, id: string, at: Date) {
  return trx
    .updateTable('email_changes')
    .set({ ended_at: at })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .where(sql<boolean>`undo_ends_at(asked_at, changed_at) > ${at}`)
    .returning(['old_email', 'old_email_verified_at', 'asked_at'])
    .executeTakeFirst();
}

/** False when the change has been undone. When an account returns to a former address, the later changes end. */
export async function completeChange(trx: Db, id: string, to: Email, at: Date): Promise<boolean> {
  const made = await trx
    .updateTable('email_changes')
    .set({ changed_at: at })
    .where('id', '=', id)
    .where('changed_at', 'is', null)
    .where('ended_at', 'is', null)
    .returning('user_id')
    .executeTakeFirst();
  if (!made) return false;
  await sql`
    UPDATE email_changes SET ended_at = ${at}
    WHERE user_id = ${made.user_id} AND ended_at IS NULL AND asked_at > (
      SELECT min(asked_at) FROM email_changes
      WHERE user_id = ${made.user_id} AND old_email = ${to} AND ended_at IS NULL
        AND undo_ends_at(asked_at, changed_at) > ${at})
  `.execute(trx);
  return true;
}
