import { sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';

export type ConfirmedNetwork = { userId: string; email: Email };

export type NetworkConfirmations = ReturnType<typeof createNetworkConfirmations>;

/** An account has at most one confirmation: a later one replaces it. */
export function createNetworkConfirmations(db: Db, newId: () => string) {
  return {
    /** Idempotent for an id. Returns the account's id, or null when no such account can sign in with a password. */
    async create(id: string, email: Email, { at, expiresAt }: { at: Date; expiresAt: Date }): Promise<string | null> {
      await sql`
        INSERT INTO network_confirmations (user_id, id, password_epoch, expires_at)
        SELECT id, ${id}, password_epoch, ${expiresAt} FROM users
        WHERE email = ${email} AND disabled_at IS NULL AND password_hash IS NOT NULL
        ON CONFLICT (user_id) DO UPDATE
          SET id = excluded.id, password_epoch = excluded.password_epoch, expires_at = excluded.expires_at, used_at = NULL
          WHERE network_confirmations.expires_at < excluded.expires_at
      `.execute(db);
      const row = await db
        .selectFrom('network_confirmations')
        .select('user_id')
        .where('id', '=', id)
        .where('used_at', 'is', null)
        .where('expires_at', '>', at)
        .executeTakeFirst();
      return row?.user_id ?? null;
    },

    /** One of several parallel calls succeeds. Null when it is used or expired, or the password has changed. */
    async redeem(
      id: string,
      at: Date,
      effects: (confirmed: ConfirmedNetwork) => Effect[],
    ): Promise<ConfirmedNetwork | null> {
      return db.transaction().execute(async (trx) => {
        const row = await trx
          .updateTable('network_confirmations')
          .from('users')
          .set({ used_at: at })
          .whereRef('users.id', '=', 'network_confirmations.user_id')
          .whereRef('users.password_epoch', '=', 'network_confirmations.password_epoch')
          .where('network_confirmations.id', '=', id)
          .where('used_at', 'is', null)
          .where('expires_at', '>', at)
          .where('disabled_at', 'is', null)
          .returning(['user_id', 'email'])
          .executeTakeFirst();
        if (!row) return null;
        const confirmed = { userId: row.user_id, email: row.email };
        await writeEffects(trx, newId, { at, effects: effects(confirmed) });
        return confirmed;
      });
    },
  };
}
