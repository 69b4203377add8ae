// The effects of committed changes: the worker removes each row when the effect is done. Postgres's clock decides which
// rows are due, because the clocks of processes can differ.
import { type RawBuilder, sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Db } from './postgres/database.ts';

export type Topic = Effect['topic'];
export type OutboxRef = { id: string; topic: Topic; attempts: number };

/** `waiting` and `dead` count rows. The worker has given dead rows up. */
export type Backlog = { topic: Topic; waiting: number; dead: number; oldestSeconds: number };

export type Outbox = ReturnType<typeof createOutbox>;

/** Long enough for an SMTP server's reply. */
const MAX_ERROR_LENGTH = 500;

export async function writeEffects(
  db: Db,
  newId: () => string,
  { at, effects }: { at: Date; effects: Effect[] },
): Promise<void> {
  if (effects.length === 0) return;
  const rows = effects.map(({ topic, payload }) => ({ id: newId(), topic, payload, created_at: at }));
  // One JSON value, because a statement is limited to 65,535 parameters.
  await sql`
    INSERT INTO outbox (id, topic, payload, created_at)
    SELECT id, topic, payload, created_at
    FROM jsonb_to_recordset(${JSON.stringify(rows)}) AS row (id uuid, topic text, payload jsonb, created_at timestamptz)
  `.execute(db);
}

/** By Postgres's clock. */
export function inMs(milliseconds: number): RawBuilder<Date> {
  return sql<Date>`now() + make_interval(secs => ${milliseconds / 1000}::float8)`;
}

export function shortened(error: string): string {
  return error.slice(0, MAX_ERROR_LENGTH);
}

export function createOutbox(db: Db, newId: () => string) {
  return {
    write: (at: Date, effects: Effect[]) => writeEffects(db, newId, { at, effects }),

    /** Schedules the rows again in case the queue loses them. Parallel relays take different rows. */
    async takeDue(topic: Topic, againInMs: number, limit: number): Promise<OutboxRef[]> {
      return db
        .updateTable('outbox')
        .set({ next_attempt_at: inMs(againInMs) })
        .where('id', 'in', (eb) =>
          eb
            .selectFrom('outbox')
            .select('id')
            .where('topic', '=', topic)
            .where('dead_at', 'is', null)
            .where('next_attempt_at', '<=', sql<Date>`now()`)
            .orderBy('next_attempt_at')
            .orderBy('id')
            .limit(limit)
            .forUpdate()
            .skipLocked(),
        )
        .returning(['id', 'topic', 'attempts'])
        .execute();
    },

    async putBack(ids: string[]): Promise<void> {
      await db.updateTable('outbox').set({ next_attempt_at: sql<Date>`now()` }).where('id', 'in', ids).execute();
    },

    /** @param waitMs until the next attempt; null to give the row up */
    async noteFailure(id: string, error: string, waitMs: number | null): Promise<void> {
      await db
        .updateTable('outbox')
        .set((eb) => ({
          attempts: eb('attempts', '+', 1),
          last_error: shortened(error),
          ...(waitMs === null ? { dead_at: sql<Date>`now()` } : { next_attempt_at: inMs(waitMs) }),
        }))
        .where('id', '=', id)
        .execute();
    },

    /** For a batch that failed because of another row. */
    async noteDelay(ids: string[], error: string): Promise<void> {
      await db
        .updateTable('outbox')
        .set((eb) => ({ attempts: eb('attempts', '+', 1), last_error: shortened(error) }))
        .where('id', 'in', ids)
        .execute();
    },

    /** `oldestSeconds` is the age of the oldest row that is not dead. */
    async backlog(now: Date): Promise<Backlog[]> {
      const { rows } = await sql<Backlog>`
        SELECT topic, count(entry.id)::int - count(entry.dead_at)::int AS waiting, count(entry.dead_at)::int AS dead,
          coalesce(extract(epoch FROM ${now} - min(entry.created_at) FILTER (WHERE entry.dead_at IS NULL)), 0)::float8
            AS "oldestSeconds"
        FROM unnest(ARRAY['mail', 'audit']) AS topic LEFT JOIN outbox AS entry USING (topic)
        GROUP BY topic
      `.execute(db);
      return rows;
    },
  };
}
