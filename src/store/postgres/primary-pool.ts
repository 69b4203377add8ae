// Each connection is checked when it is made, and again before use when the last check is old.
import type { PostgresPool } from 'kysely';
import pg from 'pg';
import { clientClass, createHosts, type PrimaryClient } from './client.ts';
import { createPrimaryGuard, NotPrimaryError, type PrimaryGuard } from './primary-guard.ts';

export type PoolOptions = {
  url: string;
  poolSize: number;
  statementTimeoutMs: number;
  /** Shared by the pools of a process. */
  guard?: PrimaryGuard;
  onConnectFailure?: (error: unknown, durationMs: number) => void;
};

/** `pending` counts waiting calls. */
export type PoolUse = { used: number; idle: number; pending: number; max: number };

export type PrimaryPool = PostgresPool & {
  /** @throws NotPrimaryError, or the error of the last host that was tried */
  connect(): Promise<pg.PoolClient>;
  use(): PoolUse;
  /** Whether the last connection led to the primary; null before the first. */
  isUp(): boolean | null;
};

const CONNECT_TIMEOUT_MS = 5_000;
/** The connect timeout when another host can be tried. */
const HOST_TIMEOUT_MS = 2_000;
const LOCK_TIMEOUT_MS = 2_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000;
/** When a statement exceeds the server's own timeout by this, the connection is dead. */
const DEAD_CONNECTION_MARGIN_MS = 2_000;
/** How long waiting calls share the error of a server that is not the primary. */
const REJECTED_FOR_MS = 100;
/** From pg-pool, when every connection stays busy. */
const POOL_EXHAUSTED_MESSAGE = 'timeout exceeded when trying to connect';

export function openPrimaryPool(options: PoolOptions, onError: (error: Error) => void): PrimaryPool {
  const guard = options.guard ?? createPrimaryGuard();
  const hosts = createHosts(options.url);
  const pool = new pg.Pool({
    connectionString: hosts.url(),
    max: options.poolSize,
    application_name: 'latchkey',
    keepAlive: true,
    connectionTimeoutMillis: hosts.count > 1 ? HOST_TIMEOUT_MS : CONNECT_TIMEOUT_MS,
    statement_timeout: options.statementTimeoutMs,
    query_timeout: options.statementTimeoutMs + DEAD_CONNECTION_MARGIN_MS,
    lock_timeout: Math.min(LOCK_TIMEOUT_MS, options.statementTimeoutMs),
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    Client: clientClass(hosts.url, guard.distrust),
  });
  pool.on('error', onError);
  // Without this, a connection that breaks between two statements ends the process: pg-pool handles idle ones only.
  pool.on('connect', (client) => client.on('error', onError));
  const idle = new Set<pg.PoolClient>();
  pool.on('acquire', (client) => idle.delete(client));
  pool.on('release', (_error, client) => idle.add(client));
  pool.on('remove', (client) => idle.delete(client));
  let rejection: { error: unknown; until: number } | null = null;

  /** All idle connections lead to the same server. Otherwise each would fail one call. */
  function dropIdle(): void {
    for (const client of idle) (client as PrimaryClient & pg.PoolClient).closeAtOnce();
  }

  /** Null when the connection no longer leads to the primary. @throws when it never has */
  async function checked(client: pg.PoolClient): Promise<pg.PoolClient | null> {
    if (!guard.isDue(client)) return client;
    const wasPrimary = guard.hasPassed(client);
    try {
      await guard.check(client);
      return client;
    } catch (error) {
      client.release(true);
      if (!wasPrimary) throw error;
      dropIdle();
      return null;
    }
  }

  async function connect(): Promise<pg.PoolClient> {
    const start = performance.now();
    if (rejection && start < rejection.until && pool.idleCount === 0) throw rejection.error;
    for (let hostsLeft = hosts.count; ; ) {
      const url = hosts.url();
      try {
        const client = await checked(await pool.connect());
        if (client) return client;
      } catch (error) {
        if ((error as Error).message === POOL_EXHAUSTED_MESSAGE) throw error;
        hosts.failed(url);
        hostsLeft -= 1;
        if (hostsLeft > 0 && performance.now() - start < CONNECT_TIMEOUT_MS) continue;
        // Other errors, such as too many connections, do not apply to the waiting calls.
        if (error instanceof NotPrimaryError) rejection = { error, until: performance.now() + REJECTED_FOR_MS };
        throw error;
      }
    }
  }

  let isUp: boolean | null = null;
  async function observed(): Promise<pg.PoolClient> {
    const startedAt = performance.now();
    try {
      const client = await connect();
      isUp = true;
      return client;
    } catch (error) {
      // A pool that is exhausted says nothing about Postgres.
      if ((error as Error).message !== POOL_EXHAUSTED_MESSAGE) isUp = false;
      options.onConnectFailure?.(error, performance.now() - startedAt);
      throw error;
    }
  }

  return {
    connect: observed,
    isUp: () => isUp,
    end: () => pool.end(),
    options: pool.options,
    use() {
      const { totalCount, idleCount, waitingCount } = pool;
      return { used: totalCount - idleCount, idle: idleCount, pending: waitingCount, max: options.poolSize };
    },
  };
}
