// The feed of what verifiers must hear of; triggers write it (migrations/0006_changes.sql).
import { sql } from 'kysely';
import type { Change } from '../domain/change.ts';
import type { Db } from './database.ts';

/** Postgres' text of a snapshot: which transactions one could see. A place in the feed, the same for every reader. */
export type Snapshot = string;

export type ChangesRead = {
  /** In the order of their making. */
  changes: Change[];
  /** What they bring the reader up to. */
  snapshot: Snapshot;
};

export type Changes = ReturnType<typeof createChanges>;

type Row = {
  snapshot: string;
  kind: Change['kind'] | null;
  session_id: string;
  user_id: string;
  stale_below: number;
  revoked_below: number;
};

export function createChanges(db: Db) {
  return {
    /** All changes that can still stop a token, for who knows nothing yet. */
    async inForce(): Promise<ChangesRead> {
      const { rows } = await sql<Row>`
        SELECT now.snapshot, changes.* FROM (SELECT pg_current_snapshot()::text AS snapshot) AS now
        LEFT JOIN changes ON true
        ORDER BY changes.id
      `.execute(db);
      return toRead(rows);
    },

    /**
     * The changes that were not visible in a snapshot and are by now: none is skipped that had a lower id and committed
     * later, and none comes twice.
     */
    async since(snapshot: Snapshot): Promise<ChangesRead> {
      const { rows } = await sql<Row>`
        SELECT now.snapshot, changes.* FROM (SELECT pg_current_snapshot()::text AS snapshot) AS now
        LEFT JOIN changes ON xid >= pg_snapshot_xmin(${snapshot}::pg_snapshot)
          AND NOT pg_visible_in_snapshot(xid, ${snapshot}::pg_snapshot)
        ORDER BY changes.id
      `.execute(db);
      return toRead(rows);
    },

    /** Removes some of those that stop no token any more. */
    async prune(atMost: number): Promise<number> {
      const { rows } = await sql<{ pruned: string }>`SELECT prune_changes(${atMost}) AS pruned`.execute(db);
      return Number(rows[0]?.pruned);
    },
  };
}

function toRead(rows: Row[]): ChangesRead {
  return {
    changes: rows.flatMap((row) => toChange(row) ?? []),
    snapshot: rows[0]?.snapshot as string,
  };
}

function toChange(row: Row): Change | null {
  switch (row.kind) {
    case 'session_ended':
      return { kind: row.kind, sessionId: row.session_id };
    case 'user_changed':
      return { kind: row.kind, userId: row.user_id, staleBelow: row.stale_below, revokedBelow: row.revoked_below };
    case 'keys_changed':
      return { kind: row.kind };
    case null:
      return null;
  }
}
