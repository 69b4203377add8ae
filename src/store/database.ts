import { Kysely, type LogEvent, PostgresDialect } from 'kysely';
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
/** As pg throws it for query_timeout. */
const QUERY_TIMEOUT_MESSAGE = 'Query read timeout';

/** How a pool's connections are used, and how many wait for one. */
export type PoolUse = { used: number; idle: number; pending: number; max: number };

/** Hears of each statement that has ended. The text holds no values; those travel beside it. */
export type OnQuery = (sql: string, durationMs: number, failed: boolean) => void;

/** @param onError hears of connections that break, in use or not */
export function openDatabase(options: DatabaseOptions, onError: (error: Error) => void): Db {
  return databaseOf(openPool(options, onError));
}

export function databaseOf(pool: pg.Pool, onQuery?: OnQuery): Db {
  const dialect = new PostgresDialect({ pool });
  if (!onQuery) return new Kysely<Schema>({ dialect });
  const log = ({ level, query, queryDurationMillis }: LogEvent) =>
    onQuery(query.sql, queryDurationMillis, level === 'error');
  return new Kysely<Schema>({ dialect, log });
}

export function poolUse({ totalCount, idleCount, waitingCount, options }: pg.Pool): PoolUse {
  return { used: totalCount - idleCount, idle: idleCount, pending: waitingCount, max: options.max };
}

/** @param onError as for openDatabase */
export function openPool(options: DatabaseOptions, onError: (error: Error) => void): pg.Pool {
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
    Client: DoomedClient,
  });
  pool.on('error', onError);
  // The pool listens while a connection is idle only; one that breaks between two statements would end the process.
  pool.on('connect', (client) => client.on('error', onError));
  return pool;
}

/** Closes its connection when a query outlasts even the server's own time-out: nobody is at the other end any more. */
class DoomedClient extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: pg declares a dozen overloads; all of them pass through
  override query(...args: any[]): any {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const result = (super.query as any)(...args);
    if (result instanceof Promise) {
      result.catch((error: Error) => {
        if (error.message === QUERY_TIMEOUT_MESSAGE) this.connection.stream.destroy();
      });
    }
    return result;
  }
}
