// The revocation feed that verifiers receive; triggers write it (migrations/0001_baseline.sql).
import { sql } from 'kysely';
import type { Change } from '../domain/revocation-event.ts';
import type { Db } from './postgres/database.ts';

/**
 * A place in the feed, the same for every reader: which transactions one could see, and in which history of the server. A
 * server that was restarted, restored or promoted may count other transactions by the same numbers.
 */
export type Snapshot = string;

export type ChangesRead = {
  /** In the order of their making. */
  changes: Change[];
  /** What they bring the reader up to. */
  snapshot: Snapshot;
};

/** `next` is where the next page begins; null after the last. */
export type ChangesPage = { changes: Change[]; next: string | null };

export type Changes = ReturnType<typeof createChanges>;

type Row = {
  history: string;
  seen: string;
  id: string | null;
  kind: Change['kind'] | null;
  session_id: string;
  user_id: string;
  stale_below: number;
  revoked_below: number;
  role: string;
};

const FIRST = '0';

export function createChanges(db: Db) {
  /** @returns at least one row, which may hold no change; null when the snapshot is of another history */
  async function read(from: Snapshot | null, first: string, atMost: number | null): Promise<Row[] | null> {
    const { history, seen } = parseSnapshot(from);
    // The last part changes when Postgres has recovered from a crash, after which it may use numbers again that were not on
    // disk yet.
    // A transaction to come was restored from the dump of another server: old, and in force.
    const isNew = sql`xid >= pg_snapshot_xmin(${seen}::pg_snapshot) AND xid < pg_snapshot_xmax(now.seen)
      AND NOT pg_visible_in_snapshot(xid, ${seen}::pg_snapshot)`;
    const { rows } = await sql<Row>`
      SELECT now.history, now.seen::text, changes.* FROM (
        SELECT pg_current_snapshot() AS seen, concat_ws('/',
          (SELECT system_identifier FROM pg_control_system()),
          left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
          (SELECT oid FROM pg_database WHERE datname = current_database()),
          extract(epoch FROM pg_postmaster_start_time()),
          (SELECT extract(epoch FROM stats_reset) FROM pg_stat_bgwriter)) AS history
      ) AS now
      LEFT JOIN changes ON id >= ${first} AND ${seen === null ? sql`true` : isNew}
      ORDER BY id LIMIT ${atMost}
    `.execute(db);
    return history === null || history === rows[0]?.history ? rows : null;
  }

  return {
    /** All changes that can still stop a token, for who knows nothing yet. */
    async inForce(): Promise<ChangesRead> {
      return toRead((await read(null, FIRST, null)) ?? []);
    },

    /**
     * The changes that were not visible in a snapshot and are by now: none is skipped that had a lower id and committed
     * later, and none comes twice. Null when the snapshot is of another history.
     */
    async since(snapshot: Snapshot): Promise<ChangesRead | null> {
      const rows = await read(snapshot, FIRST, null);
      return rows && toRead(rows);
    },

    /**
     * Either of them in pieces. What is committed meanwhile may be there or not.
     * @param snapshot null for all that is in force
     * @param first `next` of the page before
     */
    async page(snapshot: Snapshot | null, first: string | null, atMost: number): Promise<ChangesPage | null> {
      const rows = await read(snapshot, first ?? FIRST, atMost + 1);
      if (!rows) return null;
      return { changes: toChanges(rows.slice(0, atMost)), next: rows[atMost]?.id ?? null };
    },

    /** For whoever listens on the channel, as a sign of life. */
    async notify(channel: string): Promise<void> {
      await sql`SELECT pg_notify(${channel}, '')`.execute(db);
    },

    /** Removes some of those that stop no token any more. */
    async prune(atMost: number): Promise<number> {
      const { rows } = await sql<{ pruned: string }>`SELECT prune_changes(${atMost}) AS pruned`.execute(db);
      return Number(rows[0]?.pruned);
    },
  };
}

function toRead(rows: Row[]): ChangesRead {
  return { changes: toChanges(rows), snapshot: `${rows[0]?.history} ${rows[0]?.seen}` };
}

function parseSnapshot(snapshot: Snapshot | null): { history: string | null; seen: string | null } {
  const [history = null, seen = null] = snapshot?.split(' ') ?? [];
  return { history, seen };
}

function toChanges(rows: Row[]): Change[] {
  return rows.flatMap((row) => toChange(row) ?? []);
}

function toChange(row: Row): Change | null {
  switch (row.kind) {
    case 'session_ended':
      return { kind: row.kind, sessionId: row.session_id };
    case 'user_changed':
      return { kind: row.kind, userId: row.user_id, staleBelow: row.stale_below, revokedBelow: row.revoked_below };
    case 'role_changed':
      return { kind: row.kind, role: row.role, staleBelow: row.stale_below };
    case 'keys_changed':
      return { kind: row.kind };
    case null:
      return null;
  }
}
