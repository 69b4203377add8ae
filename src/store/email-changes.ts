import { sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { isUniqueViolation } from './postgres/violation.ts';
import { lockPresent, type Present } from './user-locks.ts';

export type UndoneChange = {
  userId: string;
  /** The address that the account has again. */
  restored: Email;
  /** The one that it had until now; null when that is the same. */
  replaced: Email | null;
  /** Providers of the identities that were unlinked. */
  unlinked: string[];
};

export type EmailChanges = ReturnType<typeof createEmailChanges>;

/** A thief may have linked an identity of their own before they asked for the change. */
const SUSPECT_BEFORE = '168 hours';

export function createEmailChanges(db: Db, newId: () => string) {
  return {
    /** Notes which address the account has, so that it can have it again. False when they may not change it any more. */
    async ask(id: string, present: Present, now: Date, effects: Effect[]): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockPresent(trx, present))) return false;
        await sql`
          INSERT INTO email_changes (id, user_id, old_email, old_email_verified_at, asked_at)
          SELECT ${id}, id, email, email_verified_at, ${now}::timestamptz FROM users WHERE id = ${present.userId}
        `.execute(trx);
        await writeEffects(trx, newId, now, effects);
        return true;
      });
    },

    isReserved: (email: Email, userId: string | null, now: Date) => isReserved(db, email, userId, now),

    /**
     * Gives the account its former address back, takes its password away, and ends its sessions, the identities that were linked
     * lately and every later change. Of parallel calls one succeeds; null when the change cannot be undone any more.
     */
    async undo(id: string, now: Date, effects: (undone: UndoneChange) => Effect[]): Promise<UndoneChange | null> {
      const undoing = db.transaction().execute(async (trx) => {
        const account = await lockAccountOf(trx, id);
        const change = account && (await endChange(trx, id, now));
        if (!account || !change) return null;
        const { userId } = account;
        const { old_email: restored, old_email_verified_at: verifiedAt, asked_at: askedAt } = change;
        await sql`
          UPDATE email_changes SET ended_at = ${now}
          WHERE user_id = ${userId} AND ended_at IS NULL AND (asked_at >= ${askedAt} OR old_email = ${restored})
        `.execute(trx);
        const { rows: unlinked } = await sql<{ provider: string }>`
          DELETE FROM identities USING users
          WHERE user_id = users.id AND users.id = ${userId} AND identities.created_at > users.created_at
            AND identities.created_at > ${askedAt}::timestamptz - ${SUSPECT_BEFORE}::interval
          RETURNING provider
        `.execute(trx);
        await sql`
          UPDATE users SET email = ${restored}, password_hash = NULL, password_epoch = password_epoch + 1,
            email_verified_at = CASE email WHEN ${restored} THEN email_verified_at ELSE ${verifiedAt}::timestamptz END
          WHERE id = ${userId}
        `.execute(trx);
        await sql`UPDATE sessions SET ended_at = ${now} WHERE user_id = ${userId} AND ended_at IS NULL`.execute(trx);
        const replaced = account.email === restored ? null : account.email;
        const undone = { userId, restored, replaced, unlinked: unlinked.map(({ provider }) => provider) };
        await writeEffects(trx, newId, now, effects(undone));
        return undone;
      });
      return undoing.catch((error: unknown) => {
        if (isUniqueViolation(error, 'users_email_key')) return null;
        throw error;
      });
    },
  };
}

/** For use inside a transaction too. @param userId whose own former addresses are not reserved for others */
export async function isReserved(db: Db, email: Email, userId: string | null, now: Date): Promise<boolean> {
  const { rows } = await sql<{ reserved: boolean }>`
    SELECT email_reserved(${email}, ${userId}, ${now}) AS reserved
  `.execute(db);
  return rows[0]?.reserved ?? false;
}

/** Whether the account has another address that the owner of the former one can still undo. For use inside a transaction too. */
export async function isUndoable(db: Db, userId: string, now: Date): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM email_changes WHERE user_id = ${userId} AND changed_at IS NOT NULL AND ended_at IS NULL
      AND undo_ends_at(asked_at, changed_at) > ${now} LIMIT 1
  `.execute(db);
  return rows.length > 0;
}

/** Before the change's own row, as everywhere: first the user. Also of a disabled account. */
async function lockAccountOf(trx: Db, changeId: string): Promise<{ userId: string; email: Email } | null> {
  const { rows } = await sql<{ userId: string; email: Email }>`
    SELECT id AS "userId", email FROM users
    WHERE id = (SELECT user_id FROM email_changes WHERE id = ${changeId}) FOR UPDATE
  `.execute(trx);
  return rows[0] ?? null;
}

async function endChange(trx: Db, id: string, now: Date) {
  return trx
    .updateTable('email_changes')
    .set({ ended_at: now })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .where(sql<boolean>`undo_ends_at(asked_at, changed_at) > ${now}`)
    .returning(['old_email', 'old_email_verified_at', 'asked_at'])
    .executeTakeFirst();
}

/**
 * For use inside the transaction that changes the address. False when the change was undone meanwhile. When an account goes back
 * to a former address, the later changes end: the links mailed to those addresses are void.
 */
export async function makeChange(trx: Db, id: string, to: Email, now: Date): Promise<boolean> {
  const made = await trx
    .updateTable('email_changes')
    .set({ changed_at: now })
    .where('id', '=', id)
    .where('changed_at', 'is', null)
    .where('ended_at', 'is', null)
    .returning('user_id')
    .executeTakeFirst();
  if (!made) return false;
  await sql`
    UPDATE email_changes SET ended_at = ${now}
    WHERE user_id = ${made.user_id} AND ended_at IS NULL AND asked_at > (
      SELECT min(asked_at) FROM email_changes
      WHERE user_id = ${made.user_id} AND old_email = ${to} AND ended_at IS NULL
        AND undo_ends_at(asked_at, changed_at) > ${now})
  `.execute(trx);
  return true;
}
