import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { lockUser, replacePassword } from './user-locks.ts';

export type Reset = { id: string; userId: string; email: Email; fullName: string; passwordEpoch: number };

export type Resets = ReturnType<typeof createResets>;

export function createResets(db: Db, newId: () => string) {
  const redeemable = (now: Date) =>
    db
      .selectFrom('password_resets')
      .innerJoin('users', (join) =>
        join
          .onRef('users.id', '=', 'password_resets.user_id')
          .onRef('users.password_epoch', '=', 'password_resets.password_epoch'),
      )
      .where('used_at', 'is', null)
      .where('expires_at', '>', now)
      .where('disabled_at', 'is', null);

  async function byId(id: string, now: Date, signal?: AbortSignal): Promise<Reset | null> {
    signal?.throwIfAborted();
    const row = await redeemable(now)
      .select(['password_resets.id', 'user_id', 'email', 'full_name', 'users.password_epoch'])
      .where('password_resets.id', '=', id)
      .executeTakeFirst();
    if (!row) return null;
    return {
      id: row.id,
      userId: row.user_id,
      email: row.email,
      fullName: row.full_name,
      passwordEpoch: row.password_epoch,
    };
  }

  return {
    /** Idempotent for an id. Null when no enabled account has the email. */
    async create(id: string, email: Email, { at, expiresAt }: { at: Date; expiresAt: Date }): Promise<Reset | null> {
      await db
        .insertInto('password_resets')
        .columns(['id', 'user_id', 'password_epoch', 'created_at', 'expires_at'])
        .expression((eb) =>
          eb
            .selectFrom('users')
            .select((user) => [
              user.val(id).as('id'),
              'users.id as user_id',
              'password_epoch',
              user.val(at).as('created_at'),
              user.val(expiresAt).as('expires_at'),
            ])
            .where('email', '=', email)
            .where('disabled_at', 'is', null),
        )
        .onConflict((conflict) => conflict.column('id').doNothing())
        .execute();
      return byId(id, at);
    },

    byId,

    /** One of several parallel calls succeeds. */
    async redeem(
      reset: Reset,
      passwordHash: string,
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        const { userId, passwordEpoch } = reset;
        if (!(await lockUser(trx, userId, passwordEpoch))) return false;
        const used = await trx
          .updateTable('password_resets')
          .set({ used_at: at })
          .where('id', '=', reset.id)
          .where('used_at', 'is', null)
          .where('expires_at', '>', at)
          .where('password_epoch', '=', reset.passwordEpoch)
          .executeTakeFirst();
        if (used.numUpdatedRows !== 1n) return false;
        await replacePassword(trx, { userId, passwordHash, keepSessionId: null }, { at, reason: 'password_reset' });
        // The token proves that the user reads mail at the address.
        await trx
          .updateTable('users')
          .set((eb) => ({ email_verified_at: eb.fn.coalesce('email_verified_at', eb.val(at)) }))
          .where('id', '=', userId)
          .execute();
        await writeEffects(trx, newId, { at, effects });
        return true;
      });
    },
  };
}
