// The effects of committed changes. Writers add rows in the transaction of the change; the worker takes them away when
// the effect is done. Postgres's clock decides what is due: processes may differ about the time.
import { type RawBuilder, sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Db } from './postgres/database.ts';

export type Topic = Effect['topic'];
/** `attempts`: those that have begun before. */
export type OutboxRef = { id: string; topic: Topic; attempts: number };

/** How much waits for the worker, and how much it has given up. */
export type Backlog = { topic: Topic; waiting: number; dead: number; oldestSeconds: number };

export type Outbox = ReturnType<typeof createOutbox>;

/** Long enough to keep what an SMTP server says, short enough to keep rows small. */
const MAX_ERROR_LENGTH = 500;

/** For use inside a transaction. */
export async function writeEffects(db: Db, newId: () => string, now: Date, effects: Effect[]): Promise<void> {
  if (effects.length === 0) return;
  const rows = effects.map(({ topic, payload }) => ({ id: newId(), topic, payload, created_at: now }));
  // As one value, for of those a statement has 65,535.
  await sql`
    INSERT INTO outbox (id, topic, payload, created_at)
    SELECT id, topic, payload, created_at
    FROM jsonb_to_recordset(${JSON.stringify(rows)}) AS row (id uuid, topic text, payload jsonb, created_at timestamptz)
  `.execute(db);
}

/** So many milliseconds from now, by Postgres's clock. */
export function inMs(milliseconds: number): RawBuilder<Date> {
  return sql<Date>`now() + make_interval(secs => ${milliseconds / 1000}::float8)`;
}

export function shortened(error: string): string {
  return error.slice(0, MAX_ERROR_LENGTH);
}

export function createOutbox(db: Db, newId: () => string) {
  return {
    /** For effects of calls that change nothing else. */
    write: (now: Date, effects: Effect[]) => writeEffects(db, newId, now, effects),

    /**
     * Takes rows of a topic whose time has come, and schedules them again for the case that the queue loses them.
     * Several relays may call it at once; each row goes to one of them.
     */
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

    /** Makes rows due that could not be handed to the queue. */
    async putBack(ids: string[]): Promise<void> {
      await db.updateTable('outbox').set({ next_attempt_at: sql<Date>`now()` }).where('id', 'in', ids).execute();
    },

    /** @param waitMs until the next attempt; null when the row is given up for good */
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

    /** For rows that failed together, by no fault of theirs: they are tried again. */
    async noteDelay(ids: string[], error: string): Promise<void> {
      await db
        .updateTable('outbox')
        .set((eb) => ({ attempts: eb('attempts', '+', 1), last_error: shortened(error) }))
        .where('id', 'in', ids)
        .execute();
    },

    /** How much there is of each topic, and how long the oldest that is not dead has waited. */
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
