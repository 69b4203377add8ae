import { sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import { type Factor, MAX_FACTORS } from '../domain/factor.ts';
import { endSessions } from './end-sessions.ts';
import {
  factorsOf,
  type NewFactor,
  type StoredFactor,
  type StoredPasskey,
  toFactor,
  toFactorRow,
} from './factor-rows.ts';
import { redeemChallenge } from './factor-uses.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { type Grant, type Renewal, renewSession } from './session-rows.ts';
import { undoable } from './undoable.ts';
import { type AccountOwner, lockOwner, lockReauthenticatedOwner, type ReauthenticatedOwner } from './user-locks.ts';

/** `recoveryCodes` are their MACs. They are stored with the first factor only. */
export type Adding = {
  challengeId: string;
  factor: NewFactor;
  recoveryCodes: Buffer[];
  /** Whether the account must have no factor yet: the caller has used none. */
  isFirst: boolean;
};

/** The account has changed, the challenge is used, the account has too many factors, or the passkey was added before. */
export type AddingFailure = 'account' | 'challenge' | 'many' | 'taken';

export type Factors = ReturnType<typeof createFactors>;

export function createFactors(db: Db, newId: () => string) {
  return {
    /** The oldest first. */
    async ofUser(userId: string, signal?: AbortSignal): Promise<StoredFactor[]> {
      signal?.throwIfAborted();
      return factorsOf(db, userId);
    },

    async byCredentialId(credentialId: Buffer): Promise<(StoredPasskey & { userId: string }) | null> {
      const row = await db
        .selectFrom('factors')
        .selectAll()
        .where('credential_id', '=', credentialId)
        .executeTakeFirst();
      return row ? { ...(toFactor(row) as StoredPasskey), userId: row.user_id } : null;
    },

    async unusedRecoveryCodes(userId: string): Promise<Buffer[]> {
      const rows = await db
        .selectFrom('recovery_codes')
        .select('mac')
        .where('user_id', '=', userId)
        .where('used_at', 'is', null)
        .execute();
      return rows.map(({ mac }) => mac);
    },

    async recoveryCodesLeft(userId: string): Promise<number> {
      return countRecoveryCodes(db, userId);
    },

    /** When the user must have a factor; null for never. */
    async requiredAt(userId: string, at: Date): Promise<Date | null> {
      const { rows } = await sql<{ at: Date | null }>`SELECT factor_required_at(${userId}, ${at}) AS at`.execute(db);
      return rows[0]?.at ?? null;
    },

    /** The session goes on with the strength of the new factor. */
    async add(
      owner: AccountOwner,
      adding: Adding,
      renewal: Renewal,
      { at, effects }: { at: Date; effects: (isFirst: boolean) => Effect[] },
    ): Promise<{ grant: Grant; isFirst: boolean } | AddingFailure> {
      return undoable<{ grant: Grant; isFirst: boolean }, AddingFailure>(db, async (trx, undo) => {
        if (!(await lockOwner(trx, owner))) return undo('account');
        const { isFirst } = await insertFactor(trx, owner.userId, adding, { at, undo });
        const grant = await renewSession(trx, renewal, at);
        if (!grant) return undo('account');
        await writeEffects(trx, newId, { at, effects: effects(isFirst) });
        return { grant, isFirst };
      });
    },

    async rename(userId: string, id: string, name: string, at: Date, effects: Effect[]): Promise<Factor | null> {
      return db.transaction().execute(async (trx) => {
        const row = await trx
          .updateTable('factors')
          .set({ name })
          .where('id', '=', id)
          .where('user_id', '=', userId)
          .returningAll()
          .executeTakeFirst();
        if (!row) return null;
        await writeEffects(trx, newId, { at, effects });
        return toFactor(row);
      });
    },

    /** Ends the other sessions that used the factor. */
    async remove(
      owner: ReauthenticatedOwner,
      id: string,
      { at, effects }: { at: Date; effects: (removed: Factor, endedIds: string[]) => Effect[] },
    ): Promise<{ endedIds: string[] } | 'account' | 'unknown' | 'required'> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockReauthenticatedOwner(trx, owner))) return 'account';
        const factors = await factorsOf(trx, owner.userId);
        const removed = factors.find((factor) => factor.id === id);
        if (!removed) return 'unknown';
        const rest = factors.filter((factor) => factor !== removed);
        if (await isRequired(trx, owner.userId, removed, rest, at)) return 'required';
        const endedIds = await deleteFactor(trx, owner.userId, id, { at, keepSessionId: owner.sessionId });
        await writeEffects(trx, newId, { at, effects: effects(removed, endedIds) });
        return { endedIds };
      });
    },

    /** False when the account has no factor, or its owner may no longer change it. */
    async replaceRecoveryCodes(
      owner: ReauthenticatedOwner,
      macs: Buffer[],
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockReauthenticatedOwner(trx, owner)) || (await factorsOf(trx, owner.userId)).length === 0)
          return false;
        await trx.deleteFrom('recovery_codes').where('user_id', '=', owner.userId).execute();
        await insertRecoveryCodes(trx, owner.userId, macs);
        await writeEffects(trx, newId, { at, effects });
        return true;
      });
    },
  };
}

/** For a transaction that has locked the user. */
export async function insertFactor(
  trx: Db,
  userId: string,
  { challengeId, factor, recoveryCodes, isFirst: mustBeFirst }: Adding,
  { at, undo }: { at: Date; undo: (word: AddingFailure) => never },
): Promise<{ isFirst: boolean }> {
  const others = await factorsOf(trx, userId);
  if (others.filter(({ kind }) => kind === factor.kind).length >= MAX_FACTORS[factor.kind]) undo('many');
  const isFirst = others.length === 0;
  if ((mustBeFirst && !isFirst) || !(await redeemChallenge(trx, challengeId, at))) undo('challenge');
  const inserted = await trx
    .insertInto('factors')
    .values(toFactorRow(userId, factor, at))
    .onConflict((conflict) => conflict.constraint('factors_credential_id_key').doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows !== 1n) undo('taken');
  if (isFirst) await insertRecoveryCodes(trx, userId, recoveryCodes);
  return { isFirst };
}

/**
 * For a transaction that has locked the user. With the last factor the recovery codes are deleted.
 * @returns the ids of the sessions that ended
 */
export async function deleteFactor(
  trx: Db,
  userId: string,
  id: string,
  { at, keepSessionId, by }: { at: Date; keepSessionId: string | null; by?: string },
): Promise<string[]> {
  await trx.deleteFrom('factors').where('id', '=', id).execute();
  await deleteCodesWithoutFactor(trx, userId);
  return endSessions(trx, { at, reason: 'factor_removed', ...(by !== undefined && { by }) }, (eb) =>
    eb.and([
      eb('user_id', '=', userId),
      sql<boolean>`${id}::uuid = ANY (factor_ids)`,
      ...(keepSessionId === null ? [] : [eb('id', '!=', keepSessionId)]),
    ]),
  );
}

/**
 * For a transaction that has locked the user and ends all sessions. Deletes every recovery code, because an attacker
 * who used a factor can have replaced them.
 * @returns the factors that were added after a time, other than imported ones
 */
export async function deleteFactorsSince(trx: Db, userId: string, since: Date): Promise<Pick<Factor, 'id' | 'kind'>[]> {
  await trx.deleteFrom('recovery_codes').where('user_id', '=', userId).execute();
  return trx
    .deleteFrom('factors')
    .using('users')
    .whereRef('users.id', '=', 'factors.user_id')
    .whereRef('factors.created_at', '>', 'users.created_at')
    .where('factors.user_id', '=', userId)
    .where('factors.created_at', '>', since)
    .returning(['factors.id', 'factors.kind'])
    .execute();
}

async function deleteCodesWithoutFactor(trx: Db, userId: string): Promise<void> {
  await trx
    .deleteFrom('recovery_codes')
    .where('user_id', '=', userId)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('factors').select('id').where('user_id', '=', userId))),
    )
    .execute();
}

async function countRecoveryCodes(db: Db, userId: string): Promise<number> {
  const { count } = await db
    .selectFrom('recovery_codes')
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .where('user_id', '=', userId)
    .where('used_at', 'is', null)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Whether the policy, or a role that the user holds, needs the factor. */
async function isRequired(trx: Db, userId: string, removed: Factor, rest: Factor[], at: Date): Promise<boolean> {
  const isLast = rest.length === 0;
  const isLastPasskey = removed.kind === 'passkey' && !rest.some(({ kind }) => kind === 'passkey');
  if (!isLast && !isLastPasskey) return false;
  const { rows } = await sql<{ by_policy: boolean; by_roles: number }>`
    SELECT factor_required_at(${userId}, ${at}) IS NOT NULL AS by_policy, strength_of_roles(${userId}, ${at}) AS by_roles
  `.execute(trx);
  const { by_policy: isInPolicy = false, by_roles: strength = 1 } = rows[0] ?? {};
  return (isLast && (isInPolicy || strength >= 2)) || (isLastPasskey && strength >= 3);
}

async function insertRecoveryCodes(trx: Db, userId: string, macs: Buffer[]): Promise<void> {
  await trx
    .insertInto('recovery_codes')
    .values(macs.map((mac) => ({ user_id: userId, mac, used_at: null })))
    .execute();
}
