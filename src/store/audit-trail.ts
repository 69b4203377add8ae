import { type RawBuilder, sql } from 'kysely';
import type { Anchor, ChainedEvent } from '../domain/audit-chain.ts';
import type { AuditRecord } from '../domain/audit-event.ts';
import type { Db } from './postgres/database.ts';

/** An empty or null field matches every event. */
export type AuditFilter = EventFilter & {
  /** Events that hold one of these keyed hashes of an email, or that are about one of its users. */
  person?: { accounts: string[]; userIds: string[] };
};

type EventFilter = {
  userId: string;
  actor: string;
  type: string;
  from: Date | null;
  until: Date | null;
  target?: string;
  /** An address, or a network in CIDR notation. */
  network?: string;
};

/** The users of one email over time. More have hardly had it. */
const MAX_USERS_OF_EMAIL = 20;
/** Fewer events of a network are found by their addresses. With more, the newest are close to the end of the trail. */
const FEW_OF_NETWORK = 20_000;
/** The oldest and the newest events. An attack can cause very many between them. */
const EXAMINED_OF_EMAIL = 1_000;

export type DroppedPartition = { dropped: string; events: string };

export type AuditTrail = ReturnType<typeof createAuditTrail>;

const LOWEST_SEQ = '-9223372036854775808';
const HIGHEST_SEQ = '9223372036854775807';

/** The condition of an index. Without statistics the planner takes an equality for rare, which these events are. */
const IS_DISPLACED = sql`CASE WHEN recorded_at - occurred_at
  BETWEEN interval '-1 minute' AND interval '1 minute' THEN 0 ELSE 1 END = 1`;

/** Postgres rejects the event itself, so another attempt would fail too. */
export class UnrecordableEvent extends Error {}

/** Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded, RAISE in PL/pgSQL. */
const FAULTS_OF_AN_EVENT = ['22', '23', '54', 'P0'];

export function createAuditTrail(db: Db) {
  return {
    /** Idempotent. Returns how many it moved. @throws UnrecordableEvent for one of them: then none is moved */
    async record(ids: string[]): Promise<number> {
      try {
        const { rows } = await sql<{ recorded: number }>`SELECT record_audit_events(${ids}) AS recorded`.execute(db);
        return rows[0]?.recorded ?? 0;
      } catch (error) {
        throw isOfTheEvent(error) ? new UnrecordableEvent((error as Error).message, { cause: error }) : error;
      }
    },

    async ensurePartitions(): Promise<void> {
      await sql`SELECT ensure_audit_partitions()`.execute(db);
    },

    /** `seq` is 0 before the first event. */
    end: () => endOf(db),

    async anchor(): Promise<Anchor> {
      const { seq, hash } = await endOf(db);
      return { seq, hash: hash.toString('hex') };
    },

    /** Ascending. @param query `after` and `upTo` bound `seq`; `upTo` is inclusive */
    async after({
      after: seq,
      upTo,
      filter,
      atMost,
    }: {
      after: bigint;
      upTo: bigint | null;
      filter: EventFilter;
      atMost: number;
    }): Promise<AuditRecord[]> {
      const { rows } = await sql<RecordRow>`
        SELECT ${COLUMNS} FROM audit_events
        WHERE seq > ${seq} AND (${upTo}::bigint IS NULL OR seq <= ${upTo}) AND ${matches(filter)}
        ORDER BY seq LIMIT ${atMost}
      `.execute(db);
      return rows.map(withSeq);
    },

    /** Descending. @param seq the upper bound, exclusive; null for the newest event */
    async before(seq: bigint | null, filter: AuditFilter, atMost: number): Promise<AuditRecord[]> {
      const { from, until, person } = filter;
      const isFew = await isOneOfFew(db, filter.network ?? '');
      const isMatch = sql`(${seq}::bigint IS NULL OR seq < ${seq}) AND ${matches(filter)} AND ${isFew}`;
      const newest = (events: RawBuilder<unknown>) => sql`${events} ORDER BY seq DESC LIMIT ${atMost}`;
      const window = from || until ? await windowOf(db, from, until) : null;
      const select = (where: RawBuilder<unknown>) => (window ? inWindow(where, window, newest) : selectEvents(where));
      const parts = person && partsOf(person).map((part) => sql`(${newest(select(sql`${part} AND ${isMatch}`))})`);
      const query = parts ? sql`SELECT * FROM (${sql.join(parts, sql` UNION ALL `)}) AS events` : select(isMatch);
      const { rows } = await sql<RecordRow>`${newest(query)}`.execute(db);
      return rows.map(withSeq);
    },

    /** The users in events that hold one of these hashes of an email, also when they have another email now. */
    async usersOf(accounts: string[]): Promise<string[]> {
      const ends = accounts.flatMap((account) => {
        const events = sql`SELECT user_id FROM audit_events WHERE account = ${account}`;
        return [sql`ASC`, sql`DESC`].map((order) => sql`(${events} ORDER BY seq ${order} LIMIT ${EXAMINED_OF_EMAIL})`);
      });
      const { rows } = await sql<{ id: string }>`
        SELECT DISTINCT user_id::text AS id FROM (${sql.join(ends, sql` UNION ALL `)}) AS events
        WHERE user_id IS NOT NULL LIMIT ${MAX_USERS_OF_EMAIL}
      `.execute(db);
      return rows.map(({ id }) => id);
    },

    /** Reads the whole chain in ascending order, with rows of a duplicate or negative `seq`. Returns its end. */
    async read(atMost: number, onEvent: (event: ChainedEvent) => void): Promise<{ seq: bigint; hash: Buffer }> {
      return db
        .transaction()
        .setIsolationLevel('repeatable read')
        .execute(async (trx) => {
          const end = await endOf(trx);
          let [seq, id] = [LOWEST_SEQ, ''];
          for (;;) {
            const { rows } = await sql<ChainedRow>`
              SELECT seq, audit_time(recorded_at) AS "recordedAt", id::text, audit_time(occurred_at) AS "occurredAt", type,
                user_id::text AS "userId", session_id::text AS "sessionId", account, detail, actor, target,
                before::text, after::text, request_id AS "requestId", address, user_agent AS "userAgent",
                origin_salt AS "originSalt", origin_digest AS "originDigest", previous_hash AS "previousHash", hash
              FROM audit_events WHERE (seq, id::text) > (${seq}::bigint, ${id})
              ORDER BY seq, id::text LIMIT ${atMost}
            `.execute(trx);
            for (const row of rows) onEvent(withSeq(row));
            const last = rows.at(-1);
            if (!last) return end;
            [seq, id] = [last.seq, last.id];
          }
        });
    },

    /** Drops the partitions of whole months. Requires the owner of the schema. */
    async drop(before: Date): Promise<DroppedPartition[]> {
      const { rows } = await sql<DroppedPartition>`SELECT * FROM drop_audit_events(${before})`.execute(db);
      return rows;
    },
  };
}

async function endOf(db: Db): Promise<{ seq: bigint; hash: Buffer }> {
  const { rows } = await sql<{ seq: string; hash: Buffer }>`SELECT seq, hash FROM audit_chain`.execute(db);
  const { seq = '0', hash = Buffer.alloc(0) } = rows[0] ?? {};
  return { seq: BigInt(seq), hash };
}

/** Includes `from`, excludes `until`. */
type SeqWindow = { from: string; until: string };

/** The sequence numbers of the events that were recorded up to a minute before `from` and after `until`. */
async function windowOf(db: Db, from: Date | null, until: Date | null): Promise<SeqWindow> {
  const firstAfter = (time: RawBuilder<unknown>) => sql`coalesce(
    (SELECT seq FROM audit_events WHERE recorded_at >= ${time} ORDER BY recorded_at, seq LIMIT 1), ${HIGHEST_SEQ}::bigint)`;
  const first = from ? firstAfter(sql`${from}::timestamptz - interval '1 minute'`) : sql`${LOWEST_SEQ}::bigint`;
  const last = until ? firstAfter(sql`${until}::timestamptz + interval '1 minute'`) : sql`${HIGHEST_SEQ}::bigint`;
  const { rows } = await sql<SeqWindow>`SELECT ${first} AS "from", ${last} AS until`.execute(db);
  return rows[0] ?? { from: LOWEST_SEQ, until: HIGHEST_SEQ };
}

/** Finds also the few matching events that were recorded at another time than they occurred, outside the window. */
function inWindow(
  isMatch: RawBuilder<unknown>,
  { from, until }: SeqWindow,
  newest: (events: RawBuilder<unknown>) => RawBuilder<unknown>,
): RawBuilder<unknown> {
  const isInside = sql`seq >= ${from}::bigint AND seq < ${until}::bigint`;
  const inside = newest(selectEvents(sql`${isMatch} AND ${isInside}`));
  return sql`
    WITH displaced AS MATERIALIZED (${selectEvents(sql`${isMatch} AND ${IS_DISPLACED} AND NOT (${isInside})`)})
    SELECT * FROM ((${inside}) UNION ALL SELECT * FROM displaced) AS events`;
}

function selectEvents(where: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`SELECT ${COLUMNS} FROM audit_events WHERE ${where}`;
}

/** No event matches two of them. Each reads an index from its newest entry on, which a disjunction would not. */
function partsOf({ accounts, userIds }: NonNullable<AuditFilter['person']>): RawBuilder<unknown>[] {
  const hasAccount = sql`account = ANY(${accounts}::text[])`;
  return [
    ...accounts.map((account) => sql`account = ${account}`),
    ...userIds.map((userId) => sql`user_id = ${userId} AND (${hasAccount}) IS NOT TRUE`),
  ];
}

/**
 * Whether the event is one of a network's, where these are few. The planner has no statistics about networks: it would
 * read the whole trail for a network that has hardly any.
 */
async function isOneOfFew(db: Db, network: string): Promise<RawBuilder<boolean>> {
  if (!network.includes('/')) return sql<boolean>`true`;
  const inet = sql`${network}::inet`;
  const last = sql`set_masklen(broadcast(${inet}), CASE family(${inet}) WHEN 4 THEN 32 ELSE 128 END)`;
  // The order is that of the index on addresses.
  const seqs = sql`SELECT seq FROM audit_events
    WHERE address <> '' AND audit_address(address) BETWEEN network(${inet}) AND ${last}
    ORDER BY audit_address(address), seq LIMIT ${FEW_OF_NETWORK}`;
  const { rows } = await sql<{ count: number }>`SELECT count(*)::int AS count FROM (${seqs}) AS few`.execute(db);
  return (rows[0]?.count ?? 0) < FEW_OF_NETWORK ? sql<boolean>`seq = ANY(ARRAY(${seqs}))` : sql<boolean>`true`;
}

/** Events of one address are read from the newest on. */
function isFrom(network: string): RawBuilder<boolean> {
  const isInside = network.includes('/') ? sql`<<=` : sql`=`;
  return sql`address <> '' AND audit_address(address) ${isInside} ${network}::inet`;
}

function matches({ userId, actor, type, from, until, target = '', network = '' }: EventFilter): RawBuilder<boolean> {
  const conditions = [
    ...(userId === '' ? [] : [sql<boolean>`user_id = ${userId}`]),
    ...(actor === '' ? [] : [sql<boolean>`actor = ${actor}`]),
    ...(type === '' ? [] : [sql<boolean>`type = ${type}`]),
    ...(target === '' ? [] : [sql<boolean>`target = ${target}`]),
    ...(network === '' ? [] : [isFrom(network)]),
    ...(from ? [sql<boolean>`occurred_at >= ${from}`] : []),
    ...(until ? [sql<boolean>`occurred_at < ${until}`] : []),
  ];
  return conditions.length === 0 ? sql<boolean>`true` : sql<boolean>`${sql.join(conditions, sql` AND `)}`;
}

function isOfTheEvent(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && FAULTS_OF_AN_EVENT.includes(code.slice(0, 2));
}

type ChainedRow = Omit<ChainedEvent, 'seq'> & { seq: string };
type RecordRow = Omit<AuditRecord, 'seq'> & { seq: string };

const COLUMNS = sql`
  seq, id, occurred_at AS "occurredAt", type, user_id AS "userId", session_id AS "sessionId", account, detail, actor, target,
  before, after, address, user_agent AS "userAgent", request_id AS "requestId", hash
`;

function withSeq<Row extends { seq: string }>(row: Row): Omit<Row, 'seq'> & { seq: bigint } {
  return { ...row, seq: BigInt(row.seq) };
}
