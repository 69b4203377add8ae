// The effects of committed changes. A change adds rows in its own transaction, and the worker removes each row when the
// effect is done. Postgres's clock decides which rows are due: the clocks of processes can differ.
import { type RawBuilder, sql } from 'kysely';
import type { Effect } from '../domain/effect.ts';
import type { Db } from './postgres/database.ts';

export type Topic = Effect['topic'];
/** `attempts`: how many have begun so far. */
export type OutboxRef = { id: string; topic: Topic; attempts: number };

/** `waiting` and `dead` count rows. A dead row is one that the worker has given up. */
export type Backlog = { topic: Topic; waiting: number; dead: number; oldestSeconds: number };

export type Outbox = ReturnType<typeof createOutbox>;

/** Long enough for an SMTP server's reply. */
const MAX_ERROR_LENGTH = 500;

/** For use inside a transaction. */
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
    /** For effects of calls that change nothing else. */
    write: (at: Date, effects: Effect[]) => writeEffects(db, newId, { at, effects }),

    /**
     * Takes due rows of a topic, and schedules them again in case the queue loses them. Each row goes to one of the
     * relays that call this at once.
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

    /** Makes rows due again that the queue did not accept. */
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

    /** For rows of a batch that failed for another row's fault. They are tried again. */
    async noteDelay(ids: string[], error: string): Promise<void> {
      await db
        .updateTable('outbox')
        .set((eb) => ({ attempts: eb('attempts', '+', 1), last_error: shortened(error) }))
        .where('id', 'in', ids)
        .execute();
    },

    /** For each topic. `oldestSeconds` is the age of the oldest row that is not dead. */
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
