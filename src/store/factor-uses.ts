// The single uses of factors and challenges, in the transaction of the change that they allow.
import { sql } from 'kysely';
import type { Db } from './postgres/database.ts';

/** A proof that was found to be right. Another transaction may have used it since. */
export type FactorUse =
  | { kind: 'totp'; factorId: string; step: number }
  | { kind: 'passkey'; factorId: string; signCount: number; backedUp: boolean }
  | { kind: 'recovery_code'; userId: string; mac: Buffer };

/** The factor that a use belongs to. A recovery code is of no factor. */
export function factorOf(use: FactorUse): string | null {
  return use.kind === 'recovery_code' ? null : use.factorId;
}

/** False when the code, or a later one, has been used before, or the factor is removed. */
export async function useFactor(trx: Db, use: FactorUse, at: Date): Promise<boolean> {
  const { numAffectedRows } = await statementOf(use, at).execute(trx);
  return numAffectedRows === 1n;
}

function statementOf(use: FactorUse, at: Date) {
  switch (use.kind) {
    case 'totp':
      return sql`
        UPDATE factors SET totp_step = ${use.step}, last_used_at = ${at}
        WHERE id = ${use.factorId} AND totp_step < ${use.step}`;
    case 'passkey':
      // Authenticators without a counter always send 0.
      return sql`
        UPDATE factors SET sign_count = ${use.signCount}, last_used_at = ${at}, backed_up = ${use.backedUp}
        WHERE id = ${use.factorId} AND (sign_count < ${use.signCount} OR (sign_count = 0 AND ${use.signCount} = 0))`;
    case 'recovery_code':
      return sql`
        UPDATE recovery_codes SET used_at = ${at}
        WHERE user_id = ${use.userId} AND mac = ${use.mac} AND used_at IS NULL`;
  }
}

/** False when the challenge has been used or has expired. */
export async function redeemChallenge(trx: Db, id: string, at: Date): Promise<boolean> {
  const redeemed = await trx
    .updateTable('challenges')
    .set({ used_at: at })
    .where('id', '=', id)
    .where('used_at', 'is', null)
    .where('expires_at', '>', at)
    .executeTakeFirst();
  return redeemed.numUpdatedRows === 1n;
}
