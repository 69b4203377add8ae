// The keys that sign access tokens. Triggers enforce the order of their states and write revocation events
// (migrations/0001_baseline.sql).
import { sql } from 'kysely';
import type { Actor } from '../domain/actor.ts';
import type { Effect } from '../domain/effect.ts';
import type { KeyMove, KeyToAdd, SigningKeyRecord } from '../domain/key-schedule.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { judge } from './roles.ts';

export type NewSigningKey = KeyToAdd & { kid: string; encryptedPrivateKey: Buffer };

/** A key that is good for something. */
export type StoredSigningKey = SigningKeyRecord & { encryptedPrivateKey: Buffer };

/** First the moves in their order, then new keys. */
export type KeyChange = { moves: KeyMove[]; add: NewSigningKey[]; effects: Effect[] };

export type SigningKeyRows = ReturnType<typeof createSigningKeyRows>;

const MOVED_AT = { active: 'activated_at', retiring: 'retiring_at', retired: 'retired_at' } as const;

export function createSigningKeyRows(db: Db, newId: () => string) {
  return {
    /** All that there are and were, in the order of their making. */
    list: () => records(db),

    /** Those that are good for something. */
    usable: () => usable(db),

    /**
     * One change at a time.
     * @param actor null for a scheduled change
     * @param decide receives all keys and the usable ones; can throw
     */
    async change(
      actor: Actor | null,
      now: Date,
      decide: (keys: SigningKeyRecord[], usable: StoredSigningKey[]) => Promise<KeyChange>,
    ): Promise<void> {
      await db.transaction().execute(async (trx) => {
        if (actor) await judge(trx, actor, 'shared', now);
        await takeTurns(trx);
        const { moves, add, effects } = await decide(await records(trx), await usable(trx));
        for (const { kid, to } of moves) {
          await trx
            .updateTable('signing_keys')
            .set({ state: to, [MOVED_AT[to]]: now })
            .$if(to === 'retired', (query) => query.set({ encrypted_private_key: null }))
            .where('kid', '=', kid)
            .execute();
        }
        for (const { kid, algorithm, state, signsFrom, encryptedPrivateKey } of add) {
          const times = { created_at: now, signs_from: signsFrom, activated_at: state === 'active' ? now : null };
          const row = { kid, algorithm, state, encrypted_private_key: encryptedPrivateKey, ...times };
          await trx.insertInto('signing_keys').values(row).execute();
        }
        await writeEffects(trx, newId, now, effects);
      });
    },

    /** Those that were retired 90 days ago. Returns how many. */
    async removeRetired(): Promise<number> {
      const { rows } = await sql<{ removed: number }>`SELECT remove_retired_keys() AS removed`.execute(db);
      return rows[0]?.removed ?? 0;
    },

    /**
     * @param encrypted gives the same private key under another key; null for one that stays as it is
     * @returns which have changed
     */
    async reencrypt(
      now: Date,
      encrypted: (key: StoredSigningKey) => Buffer | null,
      effects: (kids: string[]) => Effect[],
    ): Promise<string[]> {
      return db.transaction().execute(async (trx) => {
        await takeTurns(trx);
        const kids: string[] = [];
        for (const key of await usable(trx)) {
          const other = encrypted(key);
          if (!other) continue;
          await trx
            .updateTable('signing_keys')
            .set({ encrypted_private_key: other })
            .where('kid', '=', key.kid)
            .execute();
          kids.push(key.kid);
        }
        await writeEffects(trx, newId, now, effects(kids));
        return kids;
      });
    },
  };
}

/** Until the commit. */
async function takeTurns(trx: Db): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('latchkey signing keys'))`.execute(trx);
}

async function rowsOf(db: Db) {
  // The first two were made at once.
  const order = sql`created_at, activated_at NULLS LAST, kid`;
  return db.selectFrom('signing_keys').selectAll().orderBy(order).execute();
}

async function records(db: Db): Promise<SigningKeyRecord[]> {
  return (await rowsOf(db)).map(toRecord);
}

async function usable(db: Db): Promise<StoredSigningKey[]> {
  return (await rowsOf(db)).flatMap((row) =>
    row.encrypted_private_key ? [{ ...toRecord(row), encryptedPrivateKey: row.encrypted_private_key }] : [],
  );
}

function toRecord(row: Awaited<ReturnType<typeof rowsOf>>[number]): SigningKeyRecord {
  return {
    kid: row.kid,
    algorithm: row.algorithm,
    state: row.state,
    publishedAt: row.created_at,
    signsFrom: row.signs_from,
    activatedAt: row.activated_at,
    retiringAt: row.retiring_at,
    retiredAt: row.retired_at,
  };
}
