// The encrypted secrets of authenticator apps, for `doctor` and for a change of the master key.
import type { Effect } from '../domain/effect.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';

export type StoredTotpSecret = { factorId: string; encrypted: Buffer };

export type TotpSecrets = ReturnType<typeof createTotpSecrets>;

export function createTotpSecrets(db: Db, newId: () => string) {
  return {
    /** By id. @param after the last id of the page before, or null */
    async page(after: string | null, size: number): Promise<StoredTotpSecret[]> {
      const rows = await db
        .selectFrom('factors')
        .select(['id as factorId', 'totp_secret as encrypted'])
        .where('kind', '=', 'totp')
        .$if(after !== null, (query) => query.where('id', '>', after))
        .orderBy('id')
        .limit(size)
        .execute();
      return rows.flatMap(({ factorId, encrypted }) => (encrypted ? { factorId, encrypted } : []));
    },

    /** A factor that was removed meanwhile stays removed. */
    async replace(secrets: StoredTotpSecret[], { at, effects }: { at: Date; effects: Effect[] }): Promise<void> {
      await db.transaction().execute(async (trx) => {
        for (const { factorId, encrypted } of secrets) {
          await trx.updateTable('factors').set({ totp_secret: encrypted }).where('id', '=', factorId).execute();
        }
        await writeEffects(trx, newId, { at, effects });
      });
    },
  };
}
