import { sql } from 'kysely';
import type { Db } from './database.ts';

export type ProcessReport = {
  id: string;
  api: boolean;
  worker: boolean;
  release: string;
  host: string;
  clockAheadMs: number;
};

export type SeenProcess = ProcessReport & {
  seenSecondsAgo: number;
};

export type Processes = ReturnType<typeof createProcesses>;

const KEPT = sql`interval '1 day'`;

export function createProcesses(db: Db) {
  return {
    /** Also removes the processes without a report for a day. */
    async report({ id, api, worker, release, host, clockAheadMs }: ProcessReport): Promise<void> {
      const clock_ahead_ms = Math.max(-(2 ** 31), Math.min(Math.round(clockAheadMs), 2 ** 31 - 1));
      await db
        .with('silent', (cte) => cte.deleteFrom('processes').where('seen_at', '<', sql<Date>`now() - ${KEPT}`))
        .insertInto('processes')
        .values({ id, api, worker, release, host, clock_ahead_ms })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ seen_at: sql`now()`, clock_ahead_ms }))
        .execute();
    },

    /** Called by a process that stops, so that operators do not miss it. */
    async remove(id: string): Promise<void> {
      await db.deleteFrom('processes').where('id', '=', id).execute();
    },

    async seen(): Promise<SeenProcess[]> {
      const rows = await db
        .selectFrom('processes')
        .selectAll()
        .select(sql<number>`extract(epoch FROM now() - seen_at)::float8`.as('seconds'))
        .orderBy('seen_at', 'desc')
        .execute();
      return rows.map(({ id, api, worker, release, host, clock_ahead_ms, seconds }) => {
        return { id, api, worker, release, host, clockAheadMs: clock_ahead_ms, seenSecondsAgo: seconds };
      });
    },
  };
}
