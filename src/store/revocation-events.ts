// The table is `changes`. Triggers write it (migrations/0001_baseline.sql).
import { sql } from 'kysely';
import type { RevocationEvent } from '../domain/revocation-event.ts';
import type { Db } from './postgres/database.ts';

/**
 * A position for every reader: the history of the server, a space, and the visible `pg_snapshot`. After a restart, a
 * restore or a promotion the same numbers can mean other transactions.
 */
export type Snapshot = string;

export type EventsRead = {
  events: RevocationEvent[];
  snapshot: Snapshot;
};

/** `next` is the first id of the next page; null after the last one. */
export type EventsPage = { events: RevocationEvent[]; next: string | null };

export type RevocationEvents = ReturnType<typeof createRevocationEvents>;

type Row = {
  history: string;
  seen: string;
  id: string | null;
  /** Null in a row without an event. */
  kind: string | null;
  session_id: string;
  user_id: string;
  stale_below: number;
  revoked_below: number;
  role: string;
};

const FIRST = '0';
const PG_SNAPSHOT = /^(\d{1,19}):(\d{1,19}):((?:\d{1,19},)*\d{1,19})?$/;

export function isSnapshot(text: string): boolean {
  const [history = '', seen = '', ...rest] = text.split(' ');
  const [, xmin = '0', xmax = '0', list] = PG_SNAPSHOT.exec(seen) ?? [];
  const inProgress = (list?.split(',') ?? []).map(BigInt);
  const ascending = [BigInt(xmin), ...inProgress, BigInt(xmax)];
  return (
    history !== '' &&
    rest.length === 0 &&
    BigInt(xmin) > 0n &&
    ascending.every((xid, n) => n === 0 || (ascending[n - 1] as bigint) <= xid) &&
    inProgress.at(-1) !== BigInt(xmax)
  );
}

export function createRevocationEvents(db: Db) {
  /** @returns at least one row, which may hold no event; null when the snapshot is of another history */
  async function read(from: Snapshot | null, first: string, atMost: number | null): Promise<Row[] | null> {
    const { history, seen } = parseSnapshot(from);
    // A row with a future xid was restored from the dump of another server: it is old, and in force.
    const isNew = sql`xid >= pg_snapshot_xmin(${seen}::pg_snapshot) AND xid < pg_snapshot_xmax(now.seen)
      AND NOT pg_visible_in_snapshot(xid, ${seen}::pg_snapshot)`;
    // The limit is inside, so that the index on id ends each page early: 500,000 events in pages take 12 s, and 165 s
    // otherwise. `stats_reset` changes when Postgres recovers from a crash, after which it can assign numbers again
    // that were not on disk.
    const { rows } = await sql<Row>`
      SELECT now.history, now.seen::text, changes.* FROM (
        SELECT pg_current_snapshot() AS seen, concat_ws('/',
          (SELECT system_identifier FROM pg_control_system()),
          left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
          (SELECT oid FROM pg_database WHERE datname = current_database()),
          extract(epoch FROM pg_postmaster_start_time()),
          (SELECT extract(epoch FROM stats_reset) FROM pg_stat_bgwriter)) AS history
      ) AS now
      LEFT JOIN LATERAL (
        SELECT * FROM changes WHERE id >= ${first} AND ${seen === null ? sql`true` : isNew} ORDER BY id LIMIT ${atMost}
      ) AS changes ON true
      ORDER BY id
    `.execute(db);
    return history === null || history === rows[0]?.history ? rows : null;
  }

  return {
    async inForce(): Promise<EventsRead> {
      return toRead((await read(null, FIRST, null)) ?? []);
    },

    /**
     * The events that were not visible in a snapshot, each once, also those with a lower id that committed later. Null
     * when the snapshot is of another history.
     */
    async since(snapshot: Snapshot): Promise<EventsRead | null> {
      const rows = await read(snapshot, FIRST, null);
      return rows && toRead(rows);
    },

    /**
     * As `inForce` and `since`, but events that are committed between two pages may be missing.
     * @param snapshot null for all events in force
     * @param first `next` of the page before; null for the first page
     */
    async page(snapshot: Snapshot | null, first: string | null, atMost: number): Promise<EventsPage | null> {
      const rows = await read(snapshot, first ?? FIRST, atMost + 1);
      if (!rows) return null;
      return { events: toEvents(rows.slice(0, atMost)), next: rows[atMost]?.id ?? null };
    },

    /** A heartbeat for the listener on the channel. */
    async notify(channel: string): Promise<void> {
      await sql`SELECT pg_notify(${channel}, '')`.execute(db);
    },

    /** Removes events that can no longer stop a token. */
    async prune(atMost: number): Promise<number> {
      const { rows } = await sql<{ pruned: string }>`SELECT prune_changes(${atMost}) AS pruned`.execute(db);
      return Number(rows[0]?.pruned);
    },
  };
}

function toRead(rows: Row[]): EventsRead {
  return { events: toEvents(rows), snapshot: `${rows[0]?.history} ${rows[0]?.seen}` };
}

function parseSnapshot(snapshot: Snapshot | null): { history: string | null; seen: string | null } {
  const [history = null, seen = null] = snapshot?.split(' ') ?? [];
  return { history, seen };
}

function toEvents(rows: Row[]): RevocationEvent[] {
  return rows.flatMap((row) => toEvent(row) ?? []);
}

function toEvent(row: Row): RevocationEvent | null {
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
    default:
      return { kind: 'unknown' };
  }
}
