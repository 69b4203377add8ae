import { sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { USER_ROLE } from '../domain/role.ts';
import { isReserved } from './email-changes.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { isUniqueViolation } from './postgres/violation.ts';
import { lockPresent, lockUser, type Present } from './user-locks.ts';

export type Identity = { id: string; provider: string; issuer: string; createdAt: Date; lastUsedAt: Date };

export type UsedIdentity = { id: string; userId: string };

export type NewIdentity = { id: string; provider: string; issuer: string; subject: string };

/** As many as ListIdentities has room for. */
const MAX_PER_USER = 100;

export type Identities = ReturnType<typeof createIdentities>;

export function createIdentities(db: Db, newId: () => string) {
  const insert = (trx: Db, userId: string, identity: NewIdentity, now: Date) =>
    trx
      .insertInto('identities')
      .values({ ...identity, user_id: userId, created_at: now, last_used_at: now })
      .execute();

  return {
    /** Which it is, and whose, and notes that it was used; null when nobody has it. */
    async use(issuer: string, subject: string, now: Date): Promise<UsedIdentity | null> {
      const row = await db
        .updateTable('identities')
        .set({ last_used_at: now })
        .where('issuer', '=', issuer)
        .where('subject', '=', subject)
        .returning(['id', 'user_id'])
        .executeTakeFirst();
      return row ? { id: row.id, userId: row.user_id } : null;
    },

    /**
     * `changed`: the account is not any more as it was, or has no verified address, so that it may be a stranger's. `many`: it
     * has as many as it may have.
     * @param user with `isOnlyOfIssuer`, `changed` also when the account has another identity of the issuer: this is another person's
     */
    async link(
      user: { id: string; email: Email; passwordEpoch: number; isOnlyOfIssuer: boolean },
      identity: NewIdentity,
      now: Date,
      effects: Effect[],
    ): Promise<'done' | 'taken' | 'changed' | 'many'> {
      const linking = db.transaction().execute(async (trx) => {
        if (!(await lockUser(trx, user.id, user.passwordEpoch))) return 'changed' as const;
        const { rows } = await sql<{ ok: boolean; linked: number }>`
          SELECT (SELECT count(*)::int FROM identities WHERE user_id = users.id) AS linked, email = ${user.email} AND email_verified_at IS NOT NULL AND NOT (${user.isOnlyOfIssuer} AND EXISTS (
            SELECT FROM identities WHERE user_id = users.id AND issuer = ${identity.issuer}
              AND subject <> ${identity.subject})) AS ok
          FROM users WHERE id = ${user.id}
        `.execute(trx);
        if (!rows[0]?.ok) return 'changed' as const;
        if (rows[0].linked >= MAX_PER_USER) return 'many' as const;
        await insert(trx, user.id, identity, now);
        await writeEffects(trx, newId, now, effects);
        return 'done' as const;
      });
      return linking.catch((error: unknown) => {
        if (isUniqueViolation(error, 'identities_issuer_subject_key')) return 'taken' as const;
        throw error;
      });
    },

    /** A new account with a verified address and no password. False when the address or the identity has one by now. */
    async createUser(
      user: { id: string; email: Email; fullName: string },
      identity: NewIdentity,
      now: Date,
      effects: Effect[],
    ): Promise<boolean> {
      const creating = db.transaction().execute(async (trx) => {
        if (await isReserved(trx, user.email, null, now)) return false;
        await trx
          .insertInto('users')
          .values({ id: user.id, email: user.email, full_name: user.fullName, email_verified_at: now, created_at: now })
          .execute();
        await trx.insertInto('user_roles').values({ user_id: user.id, role: USER_ROLE, granted_at: now }).execute();
        await insert(trx, user.id, identity, now);
        await writeEffects(trx, newId, now, effects);
        return true;
      });
      return creating.catch((error: unknown) => {
        const constraints = ['users_email_key', 'identities_issuer_subject_key'];
        if (constraints.some((constraint) => isUniqueViolation(error, constraint))) return false;
        throw error;
      });
    },

    async ofUser(userId: string, signal?: AbortSignal): Promise<Identity[]> {
      signal?.throwIfAborted();
      const rows = await db
        .selectFrom('identities')
        .select(['id', 'provider', 'issuer', 'created_at', 'last_used_at'])
        .where('user_id', '=', userId)
        .orderBy('created_at')
        .limit(MAX_PER_USER)
        .execute();
      return rows.map(({ created_at: createdAt, last_used_at: lastUsedAt, ...rest }) => ({
        ...rest,
        createdAt,
        lastUsedAt,
      }));
    },

    /**
     * Ends the sessions that were begun with it, but for the one that asks. `last`: without it nobody could sign in to the
     * account any more. `changed`: who asks may not any more.
     * @param usable the providers with which somebody can sign in
     */
    async unlink(
      present: Present,
      id: string,
      usable: string[],
      now: Date,
      effects: (unlinked: { provider: string }) => Effect[],
    ): Promise<'done' | 'unknown' | 'last' | 'changed'> {
      const { userId, sessionId } = present;
      return db.transaction().execute(async (trx) => {
        // Two of the last two at once must not both go.
        if (!(await lockPresent(trx, present))) return 'changed';
        const rows = await trx
          .selectFrom('identities')
          .select(['id', 'provider'])
          .where('user_id', '=', userId)
          .execute();
        const unlinked = rows.find((row) => row.id === id);
        if (!unlinked) return 'unknown';
        const user = await trx.selectFrom('users').select('password_hash').where('id', '=', userId).executeTakeFirst();
        const isLast = !rows.some((row) => row.id !== id && usable.includes(row.provider));
        if (user?.password_hash === null && isLast) return 'last';
        await trx.deleteFrom('identities').where('id', '=', id).execute();
        await trx
          .updateTable('sessions')
          .set({ ended_at: now })
          .where('user_id', '=', userId)
          .where('identity_id', '=', id)
          .where('ended_at', 'is', null)
          .where('id', '!=', sessionId)
          .execute();
        await writeEffects(trx, newId, now, effects(unlinked));
        return 'done';
      });
    },
  };
}
