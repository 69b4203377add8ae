import type pg from 'pg';

/** How many statements wait for a lock. A transaction sees only the connections that were open when it first looked. */
export async function lockWaiters(outsideTransactions: pg.Pool): Promise<number> {
  const { rows } = await outsideTransactions.query<{ count: number }>(
    "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
  );
  return rows[0]?.count ?? 0;
}
