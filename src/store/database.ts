import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Schema } from './schema.ts';

export type Db = Kysely<Schema>;

export type DatabaseOptions = {
  url: string;
  /** Connections at the most. */
  poolSize: number;
  /** The longest that one statement may run, in milliseconds. */
  statementTimeoutMs: number;
};

const CONNECT_TIMEOUT_MS = 5_000;
const LOCK_TIMEOUT_MS = 2_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000;
/** Past the server's own time-out the connection itself must be dead. */
const DEAD_CONNECTION_MARGIN_MS = 2_000;

/** @param onIdleError hears of pooled connections that break while nobody uses them */
export function openDatabase(options: DatabaseOptions, onIdleError: (error: Error) => void): Db {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    application_name: 'latchkey',
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: options.statementTimeoutMs,
    query_timeout: options.statementTimeoutMs + DEAD_CONNECTION_MARGIN_MS,
    lock_timeout: Math.min(LOCK_TIMEOUT_MS, options.statementTimeoutMs),
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
  });
  pool.on('error', onIdleError);
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
}
