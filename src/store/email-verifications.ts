import { sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { completeChange, isReserved } from './email-changes.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { isUniqueViolation } from './postgres/violation.ts';
import { lockUser } from './user-locks.ts';

export type EmailVerification = {
  id: string;
  userId: string;
  email: Email;
  /** Differs from `email` when the verification is for a change. */
  accountEmail: Email;
  passwordEpoch: number;
  /** Null when the account's own address is verified. */
  changeId: string | null;
};

/** Rolls the transaction back. */
class NotRedeemable extends Error {}

export type EmailVerifications = ReturnType<typeof createEmailVerifications>;

export function createEmailVerifications(db: Db, newId: () => string) {
  /** Null unless it is unused, not expired, and the account has the same address and password as before. */
  async function byId(id: string, now: Date, signal?: AbortSignal): Promise<EmailVerification | null> {
    signal?.throwIfAborted();
    const row = await db
      .selectFrom('email_verifications')
      .innerJoin('users', (join) =>
        join
          .onRef('users.id', '=', 'email_verifications.user_id')
          .onRef('users.email', '=', 'email_verifications.account_email')
          .onRef('users.password_epoch', '=', 'email_verifications.password_epoch'),
      )
      .select([
        'email_verifications.id',
        'user_id',
        'email_verifications.email',
        'account_email',
        'users.password_epoch',
        'email_change_id',
      ])
      .where('email_verifications.id', '=', id)
      // A row for another address without a change is older than the record of changes, and void.
      .where((eb) =>
        eb.or([eb('email_change_id', 'is not', null), eb('email_verifications.email', '=', eb.ref('account_email'))]),
      )
      .where('used_at', 'is', null)
      .where('expires_at', '>', now)
      .where('disabled_at', 'is', null)
      .executeTakeFirst();
    if (!row) return null;
    return {
      id: row.id,
      userId: row.user_id,
      email: row.email,
      accountEmail: row.account_email,
      passwordEpoch: row.password_epoch,
      changeId: row.email_change_id,
    };
  }

  return {
    byId,

    /** Idempotent for an id. Null when the account has changed. */
    async create(
      id: string,
      of: Omit<EmailVerification, 'id'>,
      { at, expiresAt }: { at: Date; expiresAt: Date },
    ): Promise<EmailVerification | null> {
      await db
        .insertInto('email_verifications')
        .columns([
          'id',
          'user_id',
          'email',
          'account_email',
          'email_change_id',
          'password_epoch',
          'created_at',
          'expires_at',
        ])
        .expression((eb) =>
          eb
            .selectFrom('users')
            .select((user) => [
              user.val(id).as('id'),
              'users.id as user_id',
              user.val(of.email).as('email'),
              'users.email as account_email',
              sql<string | null>`${of.changeId}::uuid`.as('email_change_id'),
              'password_epoch',
              user.val(at).as('created_at'),
              user.val(expiresAt).as('expires_at'),
            ])
            .where('users.id', '=', of.userId)
            .where('users.email', '=', of.accountEmail)
            .where('password_epoch', '=', of.passwordEpoch)
            .where('disabled_at', 'is', null),
        )
        .onConflict((conflict) => conflict.column('id').doNothing())
        .execute();
      return byId(id, at);
    },

    /** One of several parallel calls succeeds. False also when another account has the address: the token is unused. */
    async redeem(
      { id, userId, email, accountEmail, passwordEpoch, changeId }: EmailVerification,
      at: Date,
      effects: Effect[],
    ): Promise<boolean> {
      const redeeming = db.transaction().execute(async (trx) => {
        if (!(await lockUser(trx, userId, passwordEpoch))) return false;
        const used = await trx
          .updateTable('email_verifications')
          .set({ used_at: at })
          .where('id', '=', id)
          .where('used_at', 'is', null)
          .where('expires_at', '>', at)
          .executeTakeFirst();
        if (used.numUpdatedRows !== 1n) return false;
        if (changeId !== null) {
          const isFree = !(await isReserved(trx, email, userId, at));
          if (!isFree || !(await completeChange(trx, changeId, email, at))) throw new NotRedeemable();
        }
        const verifiedAt = email === accountEmail ? sql<Date>`coalesce(email_verified_at, ${at})` : at;
        const verified = await trx
          .updateTable('users')
          .set((eb) => ({
            email,
            email_verified_at: verifiedAt,
            password_epoch: eb('password_epoch', '+', email === accountEmail ? 0 : 1),
          }))
          .where('id', '=', userId)
          .where('email', '=', accountEmail)
          .executeTakeFirst();
        if (verified.numUpdatedRows !== 1n) throw new NotRedeemable();
        await writeEffects(trx, newId, { at, effects });
        return true;
      });
      return redeeming.catch((error: unknown) => {
        if (error instanceof NotRedeemable || isUniqueViolation(error, 'users_email_key')) return false;
        throw error;
      });
    },
  };
}
