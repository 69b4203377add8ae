// The effects of committed changes. Writers add rows in the transaction of the change; the worker takes them away when
// the effect is done.
import { sql } from 'kysely';
import type { Effect, MailOrder } from '../domain/effect.ts';
import type { Db } from './database.ts';

export type OutboxRef = { id: string; topic: Effect['topic'] };
export type MailRow = { order: MailOrder; createdAt: Date };
export type DeadLetter = OutboxRef & {
  createdAt: Date;
  deadAt: Date;
  attempts: number;
  lastError: string;
  payload: unknown;
};

/** What waits for the worker, and what it has given up. */
export type Backlog = { topic: Effect['topic']; waiting: number; dead: number; oldestSeconds: number };

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

export function createOutbox(db: Db, newId: () => string) {
  return {
    /** For effects of calls that change nothing else. */
    write: (now: Date, effects: Effect[]) => writeEffects(db, newId, now, effects),

    /**
     * Takes rows that were never handed to the queue, or so long ago that the queue must have lost them.
     * Several relays may call it at once; each row goes to one of them.
     */
    async takeDue(topic: Effect['topic'], now: Date, relayedBefore: Date, limit: number): Promise<OutboxRef[]> {
      return db
        .updateTable('outbox')
        .set({ relayed_at: now })
        .where('id', 'in', (eb) =>
          eb
            .selectFrom('outbox')
            .select('id')
            .where('topic', '=', topic)
            .where('dead_at', 'is', null)
            .where(eb.or([eb('relayed_at', 'is', null), eb('relayed_at', '<', relayedBefore)]))
            .orderBy('id')
            .limit(limit)
            .forUpdate()
            .skipLocked(),
        )
        .returning(['id', 'topic'])
        .execute();
    },

    /** Puts rows back that could not be handed to the queue. */
    async putBack(ids: string[]): Promise<void> {
      await db.updateTable('outbox').set({ relayed_at: null }).where('id', 'in', ids).execute();
    },

    /** Null when the mail has been sent already, or given up. */
    async mail(id: string): Promise<MailRow | null> {
      const row = await db
        .selectFrom('outbox')
        .select(['payload', 'created_at'])
        .where('id', '=', id)
        .where('topic', '=', 'mail')
        .where('dead_at', 'is', null)
        .executeTakeFirst();
      return row ? { order: row.payload as MailOrder, createdAt: row.created_at } : null;
    },

    async done(id: string): Promise<void> {
      await db.deleteFrom('outbox').where('id', '=', id).execute();
    },

    /** @param now when set, the row is given up for good */
    async noteFailure(id: string, error: string, now: Date | null): Promise<void> {
      await db
        .updateTable('outbox')
        .set((eb) => ({ attempts: eb('attempts', '+', 1), last_error: error.slice(0, MAX_ERROR_LENGTH), dead_at: now }))
        .where('id', '=', id)
        .execute();
    },

    /** For rows that failed together, by no fault of theirs: they are tried again. */
    async noteDelay(ids: string[], error: string): Promise<void> {
      await db
        .updateTable('outbox')
        .set((eb) => ({ attempts: eb('attempts', '+', 1), last_error: error.slice(0, MAX_ERROR_LENGTH) }))
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

    async deadLetters(): Promise<DeadLetter[]> {
      const rows = await db
        .selectFrom('outbox')
        .selectAll()
        .where('dead_at', 'is not', null)
        .orderBy('dead_at')
        .execute();
      return rows.map((row) => ({
        id: row.id,
        topic: row.topic,
        createdAt: row.created_at,
        deadAt: row.dead_at as Date,
        attempts: row.attempts,
        lastError: row.last_error ?? '',
        payload: row.payload,
      }));
    },

    /** Gives a dead letter another round of attempts. False if there is none with this id. */
    async revive(id: string): Promise<boolean> {
      const revived = await db
        .updateTable('outbox')
        .set({ dead_at: null, relayed_at: null, attempts: 0 })
        .where('id', '=', id)
        .where('dead_at', 'is not', null)
        .executeTakeFirst();
      return revived.numUpdatedRows === 1n;
    },
  };
}
