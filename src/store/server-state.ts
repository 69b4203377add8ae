// Whether a Postgres server is the writable primary that this process has worked with, or may replace it.
import type pg from 'pg';

/** A server's account of itself, read in one statement. */
export type ServerState = {
  systemIdentifier: string;
  /** The end of its write-ahead log; null in recovery. */
  position: WalPosition | null;
  startedAt: number;
  isReadOnly: boolean;
  /** Milliseconds since 1970, by its clock. */
  now: number;
};

export type WalPosition = { timeline: number; lsn: bigint };

/** The newest state of a primary that this process has seen. */
export type SeenPrimary = Pick<ServerState, 'systemIdentifier' | 'startedAt'> & { position: WalPosition };

export type Judgement =
  /** `hasLost`: it lacks transactions that had been committed before it took over. */
  { isPrimary: true; tookOver: boolean; hasLost: boolean } | { isPrimary: false; problem: string };

const READ_STATE = `
  SELECT system_identifier::text AS "systemIdentifier",
    CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline,
    CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_insert_lsn() - '0/0')::text END AS lsn,
    extract(epoch FROM pg_postmaster_start_time())::float8 * 1000 AS "startedAt",
    current_setting('transaction_read_only') = 'on' AS "isReadOnly",
    extract(epoch FROM clock_timestamp())::float8 * 1000 AS now
  FROM pg_control_system()`;

type Row = Omit<ServerState, 'position'> & { timeline: string | null; lsn: string | null };

export async function readServerState(client: pg.ClientBase, timeoutMs: number): Promise<ServerState> {
  const query = { text: READ_STATE, query_timeout: timeoutMs };
  const { rows } = await client.query<Row>(query);
  const [row] = rows;
  if (!row) throw new Error('Postgres returned no row about itself');
  const { timeline, lsn, ...rest } = row;
  const isPrimary = timeline !== null && lsn !== null;
  return { ...rest, position: isPrimary ? { timeline: Number.parseInt(timeline, 16), lsn: BigInt(lsn) } : null };
}

/**
 * A promotion starts a new timeline, so the higher timeline is the newer primary, even where it has less of the log. On the
 * same timeline the log only grows while the server runs.
 * @param seen as of before the state was asked for
 */
export function judgeServer(found: ServerState, seen: SeenPrimary | null): Judgement {
  const { position } = found;
  if (!position) return { isPrimary: false, problem: 'it is in recovery: a standby, or a primary that is starting' };
  if (found.isReadOnly) return { isPrimary: false, problem: 'it is read-only (default_transaction_read_only)' };
  if (!seen) return { isPrimary: true, tookOver: false, hasLost: false };
  if (found.systemIdentifier !== seen.systemIdentifier) return { isPrimary: true, tookOver: true, hasLost: true };
  const hasLost = position.lsn < seen.position.lsn;
  if (position.timeline > seen.position.timeline) return { isPrimary: true, tookOver: true, hasLost };
  if (position.timeline < seen.position.timeline) {
    const timelines = `timeline ${position.timeline}, and timeline ${seen.position.timeline} has been seen`;
    return { isPrimary: false, problem: `it is a former primary: on ${timelines}` };
  }
  if (!hasLost) return { isPrimary: true, tookOver: false, hasLost };
  if (found.startedAt > seen.startedAt) return { isPrimary: true, tookOver: true, hasLost };
  const lag = seen.position.lsn - position.lsn;
  return { isPrimary: false, problem: `it is ${lag} bytes of log behind what has been seen` };
}
