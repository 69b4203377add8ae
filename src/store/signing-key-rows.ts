import type { SigningKeyStore } from '../keys/signing-keys.ts';
import type { Db } from './database.ts';

export function createSigningKeyRows(db: Db, now: () => Date): SigningKeyStore {
  return {
    async all() {
      const rows = await db.selectFrom('signing_keys').selectAll().execute();
      return rows.map((row) => ({
        kid: row.kid,
        algorithm: row.algorithm,
        encryptedPrivateKey: row.encrypted_private_key,
      }));
    },

    async addFirst(key) {
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
