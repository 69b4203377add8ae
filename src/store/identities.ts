import { sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { USER_ROLE } from '../domain/role.ts';
import { isReserved } from './email-changes.ts';
import { endSessions } from './end-sessions.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { isUniqueViolation } from './postgres/violation.ts';
import { lockReauthenticatedOwner, lockUser, type ReauthenticatedOwner } from './user-locks.ts';

export type Identity = { id: string; provider: string; issuer: string; createdAt: Date; lastUsedAt: Date };

export type UsedIdentity = { id: string; userId: string };

export type NewIdentity = { id: string; provider: string; issuer: string; subject: string };

/** A ListIdentities response has room for this many. */
const MAX_PER_USER = 100;

export type Identities = ReturnType<typeof createIdentities>;

export function createIdentities(db: Db, newId: () => string) {
  const insert = (trx: Db, userId: string, identity: NewIdentity, at: Date) =>
    trx
      .insertInto('identities')
      .values({ ...identity, user_id: userId, created_at: at, last_used_at: at })
      .execute();

  return {
    /** Records the use. Null when the identity belongs to no account. */
    async use(issuer: string, subject: string, at: Date): Promise<UsedIdentity | null> {
      const row = await db
        .updateTable('identities')
        .set({ last_used_at: at })
        .where('issuer', '=', issuer)
        .where('subject', '=', subject)
        .returning(['id', 'user_id'])
        .executeTakeFirst();
      return row ? { id: row.id, userId: row.user_id } : null;
    },

    /**
     * `changed`: the account has changed, or its address is unverified and may belong to another person.
     * `many`: the account has the maximum of identities.
     * @param user with `isOnlyOfIssuer`, an account with another identity of the issuer is `changed`: that is
     *   another person
     */
    async link(
      user: { id: string; email: Email; passwordEpoch: number; isOnlyOfIssuer: boolean },
      identity: NewIdentity,
      { at, effects }: { at: Date; effects: Effect[] },
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
        await insert(trx, user.id, identity, at);
        await writeEffects(trx, newId, { at, effects });
        return 'done' as const;
      });
      return linking.catch((error: unknown) => {
        if (isUniqueViolation(error, 'identities_issuer_subject_key')) return 'taken' as const;
        throw error;
      });
    },

    /** False when the address or the identity has an account. */
    async createUser(
      user: { id: string; email: Email; fullName: string },
      identity: NewIdentity,
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<boolean> {
      const creating = db.transaction().execute(async (trx) => {
        if (await isReserved(trx, user.email, null, at)) return false;
        await trx
          .insertInto('users')
          .values({ id: user.id, email: user.email, full_name: user.fullName, email_verified_at: at, created_at: at })
          .execute();
        await trx.insertInto('user_roles').values({ user_id: user.id, role: USER_ROLE, granted_at: at }).execute();
        await insert(trx, user.id, identity, at);
        await writeEffects(trx, newId, { at, effects });
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
     * Ends the sessions that began with the identity, except the owner's own. `last`: the owner could not sign in
     * without it. `changed`: the owner may no longer change the account.
     * @param options `usable` lists the configured providers
     */
    async unlink(
      owner: ReauthenticatedOwner,
      id: string,
      { usable, at, effects }: { usable: string[]; at: Date; effects: (unlinked: { provider: string }) => Effect[] },
    ): Promise<'done' | 'unknown' | 'last' | 'changed'> {
      const { userId, sessionId } = owner;
      return db.transaction().execute(async (trx) => {
        // The lock excludes two calls that unlink the last two identities at once.
        if (!(await lockReauthenticatedOwner(trx, owner))) return 'changed';
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
        await endSessions(trx, { at, reason: 'identity_unlinked' }, (eb) =>
          eb.and([eb('user_id', '=', userId), eb('identity_id', '=', id), eb('id', '!=', sessionId)]),
        );
        await writeEffects(trx, newId, { at, effects: effects(unlinked) });
        return 'done';
      });
    },
  };
}
