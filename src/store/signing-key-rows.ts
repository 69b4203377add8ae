import type { Db } from './database.ts';

export type StoredSigningKey = { kid: string; algorithm: 'EdDSA'; encryptedPrivateKey: Buffer };

export type SigningKeyRows = ReturnType<typeof createSigningKeyRows>;

export function createSigningKeyRows(db: Db, now: () => Date) {
  return {
    async all(): Promise<StoredSigningKey[]> {
      const rows = await db.selectFrom('signing_keys').selectAll().execute();
      return rows.map((row) => ({
        kid: row.kid,
        algorithm: row.algorithm,
        encryptedPrivateKey: row.encrypted_private_key,
      }));
    },

    /** Adds the key if there is none yet; of several processes that try, one succeeds. */
    async addFirst(key: StoredSigningKey): Promise<void> {
      await db
        .insertInto('signing_keys')
        .values({
          kid: key.kid,
          algorithm: key.algorithm,
          encrypted_private_key: key.encryptedPrivateKey,
          state: 'active',
          created_at: now(),
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    },
  };
}
