// Triggers enforce the order of the states of a key and write revocation events (migrations/0001_baseline.sql).
import { sql } from 'kysely';
import type { Actor } from '../domain/actor.ts';
import type { Effect } from '../domain/effect.ts';
import type { KeyMove, KeyToAdd, SigningKeyRecord } from '../domain/key-schedule.ts';
import { lockAuthority } from './authority.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';

export type NewSigningKey = KeyToAdd & { kid: string; encryptedPrivateKey: Buffer };

export type StoredSigningKey = SigningKeyRecord & { encryptedPrivateKey: Buffer };

export type KeyChange = { moves: KeyMove[]; add: NewSigningKey[]; effects: Effect[] };

export type SigningKeyRows = ReturnType<typeof createSigningKeyRows>;

const MOVED_AT = { active: 'activated_at', retiring: 'retiring_at', retired: 'retired_at' } as const;

export function createSigningKeyRows(db: Db, newId: () => string) {
  return {
    list: () => records(db),

    usable: () => usable(db),

    /** Only one change runs at a time. @param options `actor` is null for a scheduled change. `decide` can throw */
    async change({
      actor,
      now,
      decide,
    }: {
      actor: Actor | null;
      now: () => Date;
      decide: (keys: SigningKeyRecord[], usable: StoredSigningKey[], at: Date) => Promise<KeyChange>;
    }): Promise<void> {
      await db.transaction().execute(async (trx) => {
        if (actor) await lockAuthority(trx, actor, { lock: 'shared', at: now() });
        await lockSigningKeys(trx);
        // Read after the lock: another change may have written later times while this one waited.
        const at = now();
        const { moves, add, effects } = await decide(await records(trx), await usable(trx), at);
        for (const { kid, to } of moves) {
          await trx
            .updateTable('signing_keys')
            .set({ state: to, [MOVED_AT[to]]: at })
            .$if(to === 'retired', (query) => query.set({ encrypted_private_key: null }))
            .where('kid', '=', kid)
            .execute();
        }
        for (const { kid, algorithm, state, signsFrom, encryptedPrivateKey } of add) {
          const times = { created_at: at, signs_from: signsFrom, activated_at: state === 'active' ? at : null };
          const row = { kid, algorithm, state, encrypted_private_key: encryptedPrivateKey, ...times };
          await trx.insertInto('signing_keys').values(row).execute();
        }
        await writeEffects(trx, newId, { at, effects });
      });
    },

    /** Removes the keys that were retired 90 days ago. */
    async removeRetired(): Promise<number> {
      const { rows } = await sql<{ removed: number }>`SELECT remove_retired_keys() AS removed`.execute(db);
      return rows[0]?.removed ?? 0;
    },

    /** Returns the `kid` of each changed key. @param options `encrypt` returns null to leave a key unchanged */
    async reencrypt({
      now,
      encrypt,
      effects,
    }: {
      now: () => Date;
      encrypt: (key: StoredSigningKey) => Buffer | null;
      effects: (kids: string[]) => Effect[];
    }): Promise<string[]> {
      return db.transaction().execute(async (trx) => {
        await lockSigningKeys(trx);
        const kids: string[] = [];
        for (const key of await usable(trx)) {
          const encrypted = encrypt(key);
          if (!encrypted) continue;
          await trx
            .updateTable('signing_keys')
            .set({ encrypted_private_key: encrypted })
            .where('kid', '=', key.kid)
            .execute();
          kids.push(key.kid);
        }
        await writeEffects(trx, newId, { at: now(), effects: effects(kids) });
        return kids;
      });
    },
  };
}

async function lockSigningKeys(trx: Db): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('latchkey signing keys'))`.execute(trx);
}

async function rowsOf(db: Db) {
  // The first two keys are created at the same time.
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
