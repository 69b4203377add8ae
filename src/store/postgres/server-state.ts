import type pg from 'pg';

export type ServerState = {
  systemIdentifier: string;
  /** Null in recovery. */
  position: WalPosition | null;
  /** Null without a promotion, or after a restart. */
  promotedAt: bigint | null;
  startedAt: number;
  isReadOnly: boolean;
  /** Milliseconds since 1970, by the server's clock. */
  now: number;
};

type WalPosition = { timeline: number; lsn: bigint };

export type SeenPrimary = Pick<ServerState, 'systemIdentifier' | 'startedAt'> & { position: WalPosition };

export type Judgement =
  /** `lostWalBytes` counts the log that this process has seen and the server lacks. */
  { isPrimary: true; tookOver: boolean; lostWalBytes: number } | { isPrimary: false; problem: string };

const READ_STATE = `
  SELECT system_identifier::text AS "systemIdentifier",
    CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline,
    CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_insert_lsn() - '0/0')::text END AS lsn,
    CASE WHEN NOT pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::text END AS "promotedAt",
    extract(epoch FROM pg_postmaster_start_time())::float8 * 1000 AS "startedAt",
    current_setting('transaction_read_only') = 'on' AS "isReadOnly",
    extract(epoch FROM clock_timestamp())::float8 * 1000 AS now
  FROM pg_control_system()`;

type Row = Omit<ServerState, 'position' | 'promotedAt'> & Record<'timeline' | 'lsn' | 'promotedAt', string | null>;

export async function readServerState(client: pg.ClientBase, timeoutMs: number): Promise<ServerState> {
  const query = { text: READ_STATE, query_timeout: timeoutMs };
  const { rows } = await client.query<Row>(query);
  const [row] = rows;
  if (!row) throw new Error('Postgres returned no row about itself');
  const { timeline, lsn, promotedAt, ...rest } = row;
  const isPrimary = timeline !== null && lsn !== null;
  return {
    ...rest,
    position: isPrimary ? { timeline: Number.parseInt(timeline, 16), lsn: BigInt(lsn) } : null,
    promotedAt: promotedAt === null ? null : BigInt(promotedAt),
  };
}

/**
 * A promotion starts a new timeline, which is newer even with less of the log. On one timeline the log only grows while
 * the server runs.
 * @param seen the newest state from before this state was requested
 */
export function judgeServer(found: ServerState, seen: SeenPrimary | null): Judgement {
  const { position } = found;
  if (!position) return { isPrimary: false, problem: 'it is in recovery: a standby, or a primary that is starting' };
  if (found.isReadOnly) return { isPrimary: false, problem: 'it is read-only (default_transaction_read_only)' };
  if (!seen) return { isPrimary: true, tookOver: false, lostWalBytes: 0 };
  if (found.systemIdentifier !== seen.systemIdentifier) return { isPrimary: true, tookOver: true, lostWalBytes: 0 };
  if (position.timeline > seen.position.timeline) {
    const lostWalBytes = bytesBetween(found.promotedAt ?? position.lsn, seen.position.lsn);
    return { isPrimary: true, tookOver: true, lostWalBytes };
  }
  if (position.timeline < seen.position.timeline) {
    const timelines = `timeline ${position.timeline}, and timeline ${seen.position.timeline} has been seen`;
    return { isPrimary: false, problem: `it is a former primary: on ${timelines}` };
  }
  const missing = bytesBetween(position.lsn, seen.position.lsn);
  if (missing === 0) return { isPrimary: true, tookOver: false, lostWalBytes: 0 };
  if (found.startedAt > seen.startedAt) return { isPrimary: true, tookOver: true, lostWalBytes: missing };
  return { isPrimary: false, problem: `it lacks ${missing} bytes of log that have been seen` };
}

function bytesBetween(first: bigint, second: bigint): number {
  return first < second ? Number(second - first) : 0;
}
