import { Kysely, type LogEvent, PostgresDialect, type PostgresPool } from 'kysely';
import { openPrimaryPool, type PoolOptions } from './primary-pool.ts';
import type { Schema } from './schema.ts';

export type Db = Kysely<Schema>;

/** The text contains no values, which are parameters. The error is null after a success. */
export type OnQuery = (sql: string, durationMs: number, error: unknown) => void;

/** @param onError receives the errors of broken connections, idle or in use */
export function openDatabase(options: PoolOptions, onError: (error: Error) => void): Db {
  return databaseOf(openPrimaryPool(options, onError));
}

export function databaseOf(pool: PostgresPool, onQuery?: OnQuery): Db {
  const dialect = new PostgresDialect({ pool });
  if (!onQuery) return new Kysely<Schema>({ dialect });
  const log = (event: LogEvent) =>
    onQuery(event.query.sql, event.queryDurationMillis, event.level === 'error' ? event.error : null);
  return new Kysely<Schema>({ dialect, log });
}
