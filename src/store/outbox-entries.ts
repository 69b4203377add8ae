// The outbox for operators: rows that wait, dead letters, and further attempts.
import { sql } from 'kysely';
import type { Topic } from './outbox.ts';
import type { Db } from './postgres/database.ts';

export type OutboxState = 'waiting' | 'dead';

export type OutboxEntry = {
  id: string;
  topic: Topic;
  state: OutboxState;
  createdAt: Date;
  ageSeconds: number;
  attempts: number;
  lastError: string | null;
  /** Null for a dead letter. */
  nextAttemptAt: Date | null;
  isClaimed: boolean;
  deadAt: Date | null;
  payload: unknown;
};

export type OutboxEntries = ReturnType<typeof createOutboxEntries>;

const BATCH = 1_000;

const COLUMNS = sql`
  id, topic, CASE WHEN dead_at IS NULL THEN 'waiting' ELSE 'dead' END AS state, created_at AS "createdAt",
  extract(epoch FROM now() - created_at)::float8 AS "ageSeconds", attempts, last_error AS "lastError",
  CASE WHEN dead_at IS NULL THEN next_attempt_at END AS "nextAttemptAt", coalesce(claimed_until > now(), false) AS "isClaimed",
  dead_at AS "deadAt", payload
`;
const REVIVED = sql`dead_at = NULL, attempts = 0, first_attempt_at = NULL, claimed_until = NULL, next_attempt_at = now()`;
const IS_UNCLAIMED = sql`(claimed_until IS NULL OR claimed_until < now())`;

export function createOutboxEntries(db: Db) {
  return {
    async waiting(topic: Topic, limit: number): Promise<OutboxEntry[]> {
      const { rows } = await sql<OutboxEntry>`
        SELECT ${COLUMNS} FROM outbox WHERE topic = ${topic} AND dead_at IS NULL
        ORDER BY next_attempt_at, id LIMIT ${limit}
      `.execute(db);
      return rows;
    },

    async dead(limit: number): Promise<OutboxEntry[]> {
      const { rows } = await sql<OutboxEntry>`
        SELECT ${COLUMNS} FROM outbox WHERE dead_at IS NOT NULL ORDER BY dead_at DESC, id DESC LIMIT ${limit}
      `.execute(db);
      return rows;
    },

    /**
     * Makes one row due now. Returns the state before, `sending` when a worker has claimed it, or null for an unknown
     * id.
     */
    async retry(id: string): Promise<OutboxState | 'sending' | null> {
      return db.transaction().execute(async (trx) => {
        const { rows } = await sql<{ state: OutboxState | 'sending' }>`
          SELECT CASE WHEN dead_at IS NOT NULL THEN 'dead' WHEN ${IS_UNCLAIMED} THEN 'waiting' ELSE 'sending' END AS state
          FROM outbox WHERE id = ${id} FOR UPDATE
        `.execute(trx);
        const state = rows[0]?.state ?? null;
        if (state === 'dead') await sql`UPDATE outbox SET ${REVIVED} WHERE id = ${id}`.execute(trx);
        if (state === 'waiting') await sql`UPDATE outbox SET next_attempt_at = now() WHERE id = ${id}`.execute(trx);
        return state;
      });
    },

    async retryDead(): Promise<number> {
      return inBatches(() =>
        sql`
          UPDATE outbox SET ${REVIVED} WHERE id IN (
            SELECT id FROM outbox WHERE dead_at IS NOT NULL ORDER BY dead_at, id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
        `.execute(db),
      );
    },

    /** Makes all failed rows due that wait for their next attempt. */
    async retryWaiting(topic: Topic): Promise<number> {
      return inBatches(() =>
        sql`
          UPDATE outbox SET next_attempt_at = now() WHERE id IN (
            SELECT id FROM outbox WHERE topic = ${topic} AND dead_at IS NULL AND next_attempt_at > now()
              AND attempts > 0 AND ${IS_UNCLAIMED}
            ORDER BY next_attempt_at, id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
        `.execute(db),
      );
    },
  };
}

async function inBatches(update: () => Promise<{ numAffectedRows?: bigint }>): Promise<number> {
  let total = 0;
  for (;;) {
    const { numAffectedRows = 0n } = await update();
    total += Number(numAffectedRows);
    if (numAffectedRows < BigInt(BATCH)) return total;
  }
}
