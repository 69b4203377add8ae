import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import type { SessionEnd } from '../domain/session-end.ts';
import type { Db } from './postgres/database.ts';
import type { Schema } from './postgres/schema.ts';

/**
 * Every session ends here, unless its row is deleted. Sessions that have ended before keep their time.
 * @returns the ids of the sessions that ended now
 */
export async function endSessions(
  db: Db,
  { at, reason, by }: SessionEnd & { at: Date },
  which: (sessions: ExpressionBuilder<Schema, 'sessions'>) => Expression<SqlBool>,
): Promise<string[]> {
  const ended = await db
    .updateTable('sessions')
    .set({ ended_at: at, end_reason: reason, ended_by: by ?? null })
    .where('ended_at', 'is', null)
    .where(which)
    .returning('id')
    .execute();
  return ended.map(({ id }) => id);
}
