import { sql } from 'kysely';
import type { Db } from './postgres/database.ts';

const TABLES = {
  reset: 'password_resets',
  verification: 'email_verifications',
  network: 'network_confirmations',
} as const;

export type MailedTokenKind = keyof typeof TABLES;

/** `replaced` by a change of the account, such as another password. `unknown` also after housekeeping. */
export type MailedTokenFault = { cause: 'unknown' | 'used' | 'expired' | 'replaced'; userId: string | null };

export type MailedTokens = ReturnType<typeof createMailedTokens>;

export function createMailedTokens(db: Db) {
  return {
    /** For the log: why a token in the right form was rejected. */
    async faultOf(kind: MailedTokenKind, id: string, at: Date): Promise<MailedTokenFault> {
      const { rows } = await sql<MailedTokenFault>`
        SELECT user_id AS "userId",
          CASE WHEN used_at IS NOT NULL THEN 'used' WHEN expires_at <= ${at} THEN 'expired' ELSE 'replaced' END AS cause
        FROM ${sql.table(TABLES[kind])} WHERE id = ${id}
      `.execute(db);
      return rows[0] ?? { cause: 'unknown', userId: null };
    },
  };
}
