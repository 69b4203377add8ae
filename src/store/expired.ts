// Without this, these tables would grow without bound (remove_expired in migrations/0005_flat_lists.sql).
import { sql } from 'kysely';
import type { Db } from './postgres/database.ts';

export const EXPIRING_TABLES = [
  'sessions',
  'password_resets',
  'email_verifications',
  'email_changes',
  'oauth_flows',
  'challenges',
] as const;

export type ExpiringTable = (typeof EXPIRING_TABLES)[number];

export type Expired = ReturnType<typeof createExpired>;

export function createExpired(db: Db) {
  return {
    /** @returns the next page (null after the last one), and the number of removed rows */
    async remove(
      table: ExpiringTable,
      after: string | null,
      pageSize: number,
    ): Promise<{ next: string | null; removed: number }> {
      const { rows } = await sql<{ next: string | null; removed: number }>`
        SELECT * FROM remove_expired(${table}, ${after}, ${pageSize})
      `.execute(db);
      return rows[0] ?? { next: null, removed: 0 };
    },

    /** Removes grants that expired a week ago. The audit trail keeps them. */
    async removeGrants(now: Date): Promise<number> {
      const before = new Date(now.getTime() - 7 * 86_400_000);
      const users = await db.deleteFrom('user_roles').where('expires_at', '<', before).executeTakeFirst();
      const { numAffectedRows = 0n } =
        await sql`DELETE FROM service_account_roles WHERE expires_at < ${before}`.execute(db);
      return Number(users.numDeletedRows + numAffectedRows);
    },
  };
}
