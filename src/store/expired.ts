// Removes expired rows, in tables that would grow for ever (remove_expired in migrations/0001_baseline.sql).
import { sql } from 'kysely';
import type { Db } from './postgres/database.ts';

export const SWEPT = ['sessions', 'password_resets', 'email_verifications', 'email_changes', 'oauth_flows'] as const;

export type Swept = (typeof SWEPT)[number];

export type Expired = ReturnType<typeof createExpired>;

export function createExpired(db: Db) {
  return {
    /**
     * Looks at a page of a table and removes what is over.
     * @param after where the page begins; null for the first
     * @returns where the next one begins, null after the last; and how many it removed
     */
    async remove(
      what: Swept,
      after: string | null,
      pageSize: number,
    ): Promise<{ next: string | null; removed: number }> {
      const { rows } = await sql<{ next: string | null; removed: number }>`
        SELECT * FROM remove_expired(${what}, ${after}, ${pageSize})
      `.execute(db);
      return rows[0] ?? { next: null, removed: 0 };
    },

    /** Grants of roles that have run out a week ago: they count no more, and the audit trail has them. */
    async removeGrants(now: Date): Promise<number> {
      const before = new Date(now.getTime() - 7 * 86_400_000);
      const users = await db.deleteFrom('user_roles').where('expires_at', '<', before).executeTakeFirst();
      const { numAffectedRows = 0n } =
        await sql`DELETE FROM service_account_roles WHERE expires_at < ${before}`.execute(db);
      return Number(users.numDeletedRows + numAffectedRows);
    },
  };
}
