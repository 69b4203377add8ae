// The second factors of users, as administrators change them.
import { sql } from 'kysely';
import { actorName } from '../domain/actor.ts';
import type { Email } from '../domain/email.ts';
import type { Factor } from '../domain/factor.ts';
import { ADMIN_ROLE } from '../domain/role.ts';
import type { User } from '../domain/user.ts';
import { type AdminChange, lockAuthority } from './authority.ts';
import { factorsOf } from './factor-rows.ts';
import { deleteFactor } from './factors.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { toUser, userColumns } from './user-columns.ts';

export type UserFactors = ReturnType<typeof createUserFactors>;

export function createUserFactors(db: Db, newId: () => string) {
  return {
    /**
     * The emails, sorted, of the holders of `admin` who have no factor although the role or the policy requires one. `phr`
     * requires a passkey.
     */
    async administratorsWithoutFactor(at: Date): Promise<Email[]> {
      const { rows } = await sql<{ email: Email }>`
        SELECT email FROM users JOIN (
          SELECT user_id, min(strength) AS strength FROM user_roles JOIN role_closure USING (role)
          WHERE implied = ${ADMIN_ROLE} AND (expires_at IS NULL OR expires_at > ${at}) GROUP BY user_id
        ) AS held ON user_id = id
        WHERE disabled_at IS NULL AND (strength > acr_rank('pwd') OR factor_required_at(id, ${at}) IS NOT NULL)
          AND NOT EXISTS (
            SELECT FROM factors WHERE user_id = users.id AND (strength < acr_rank('phr') OR kind = 'passkey'))
        ORDER BY email
      `.execute(db);
      return rows.map(({ email }) => email);
    },

    /** Returns the number of sessions that ended. */
    async remove(
      { userId, factorId }: { userId: string; factorId: string },
      change: AdminChange<[user: User, factor: Factor], [roles: string[]]>,
    ): Promise<number | 'unknown user' | 'unknown factor'> {
      const { actor, at, decide, effects } = change;
      return db.transaction().execute(async (trx) => {
        const authority = await lockAuthority(trx, actor, { lock: 'exclusive', at });
        const row = await trx
          .selectFrom('users')
          .select(userColumns(at))
          .where('id', '=', userId)
          .forUpdate('users')
          .executeTakeFirst();
        if (!row) return 'unknown user';
        decide(authority, row.roles);
        const factor = (await factorsOf(trx, userId)).find(({ id }) => id === factorId);
        if (!factor) return 'unknown factor';
        const ended = await deleteFactor(trx, userId, factorId, { at, keepSessionId: null, by: actorName(actor) });
        await trx.updateTable('users').set({ factor_removed_at: at }).where('id', '=', userId).execute();
        await writeEffects(trx, newId, { at, effects: effects(toUser(row), factor) });
        return ended.length;
      });
    },
  };
}
