// The init containers of several replicas start together, so `migrate` runs once at a time for a database.
import { sql } from 'kysely';
import pg from 'pg';
import { OperatorError } from '../../process/operator-error.ts';
import type { Db } from './database.ts';

const LOCK = 'latchkey migrate';
const LOCK_NOT_AVAILABLE = '55P03';
const DEFAULT_WAIT_MS = 5 * 60_000;

/** @throws OperatorError when the wait takes too long */
export function withMigrationLock<T>(db: Db, work: (db: Db) => Promise<T>, waitMs = DEFAULT_WAIT_MS): Promise<T> {
  return db.transaction().execute(async (transaction) => {
    await acquire(transaction, waitMs);
    return work(transaction);
  });
}

async function acquire(db: Db, waitMs: number): Promise<void> {
  const usual = await sql<{ lock_timeout: string }>`SELECT current_setting('lock_timeout') AS lock_timeout`.execute(db);
  const setTimeout = (value: string) => sql`SELECT set_config('lock_timeout', ${value}, true)`.execute(db);
  await setTimeout(`${waitMs}ms`);
  try {
    await sql`SELECT pg_advisory_xact_lock(hashtext(${LOCK}))`.execute(db);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== LOCK_NOT_AVAILABLE) throw error;
    throw new OperatorError(
      `another "migrate" has been working on this database for ${Math.round(waitMs / 1000)} s: run this one again when ` +
        'it has ended (pg_stat_activity shows it, as the owner with application_name latchkey)',
    );
  }
  await setTimeout(usual.rows[0]?.lock_timeout ?? '0');
}
