// append_audit_event in migrations/0001_baseline.sql computes the same hashes inside the database.
import { createHash } from 'node:crypto';

import type { AuditRecord } from './audit-event.ts';

type Text = string | null;

/** Times are in UTC, to the microsecond: `2026-01-31T12:00:00.000000Z`. */
export type ChainedEvent = Omit<AuditRecord, 'occurredAt' | 'before' | 'after'> & {
  recordedAt: string;
  occurredAt: string;
  before: Text;
  after: Text;
  /** Null once address and user agent have been erased. */
  originSalt: Buffer | null;
  originDigest: Buffer;
  previousHash: Buffer;
};

export type Anchor = { seq: bigint; hash: string };

type ChainProblem = { seq: bigint; problem: string };

/** A deletion of old events that the chain records. An attacker who can rewrite the chain can forge it too. */
type Drop = { lastSeq: bigint; by: string; at: string };

export type ChainReport = {
  events: number;
  first: bigint;
  last: bigint;
  hash: string;
  drops: Drop[];
  problems: ChainProblem[];
};

const START = '0'.repeat(64);

function hashOf(event: ChainedEvent): Buffer {
  const fields: Text[] = [
    ...[String(event.seq), event.recordedAt, event.id, event.occurredAt, event.type, event.userId, event.sessionId],
    ...[event.account, event.detail, event.actor, event.target, event.before, event.after, event.requestId],
    event.originDigest.toString('hex'),
  ];
  return createHash('sha256').update(event.previousHash).update(fields.map(field).join('')).digest();
}

function field(text: Text): string {
  return text === null ? '-' : `${Buffer.byteLength(text)}:${text}`;
}

export function createChainVerifier(anchors: Anchor[]) {
  const problems: ChainProblem[] = [];
  const anchored = new Map(anchors.map(({ seq, hash }) => [seq, hash]));
  const forgotten = new Set<string>();
  const wiped: { seq: bigint; userId: Text }[] = [];
  const dropped = new Map<bigint, string>();
  const drops: Drop[] = [];
  let events = 0;
  let first: { seq: bigint; previousHash: string } | null = null;
  let last: { seq: bigint; hash: string } | null = null;

  const report = (seq: bigint, problem: string) => void problems.push({ seq, problem });

  function checkPlace(event: ChainedEvent): void {
    const previousHash = event.previousHash.toString('hex');
    if (event.seq < 1n) {
      report(event.seq, 'is at an impossible position');
      return;
    }
    first ??= { seq: event.seq, previousHash };
    if (!last) return;
    const expected = last.seq + 1n;
    if (event.seq === last.seq) report(event.seq, 'is duplicate');
    else if (event.seq > expected) {
      const missing = event.seq === expected + 1n ? `${expected} is` : `${expected} to ${event.seq - 1n} are`;
      report(expected, `${missing} missing`);
    } else if (previousHash !== last.hash)
      report(event.seq, 'does not follow the event before it: one of the two was moved or replaced');
  }

  function checkContent(event: ChainedEvent): void {
    if (!hashOf(event).equals(event.hash)) report(event.seq, 'was changed');
    const { originSalt, address, userAgent } = event;
    if (originSalt === null) {
      if (address !== '' || userAgent !== '') report(event.seq, 'contains an address or user agent that was erased');
      wiped.push({ seq: event.seq, userId: event.userId });
      return;
    }
    const origin = createHash('sha256')
      .update(originSalt)
      .update(field(address) + field(userAgent));
    if (!origin.digest().equals(event.originDigest)) report(event.seq, 'had its address or user agent changed');
  }

  return {
    add(event: ChainedEvent): void {
      events += 1;
      checkPlace(event);
      checkContent(event);
      const hash = event.hash.toString('hex');
      const anchor = anchored.get(event.seq);
      if (anchor !== undefined && anchor !== hash) report(event.seq, 'differs from its anchor');
      anchored.delete(event.seq);
      if (event.type === 'traces_erased') forgotten.add(event.target ?? '');
      if (event.type === 'audit_events_dropped') {
        const { lastSeq, lastHash } = JSON.parse(event.before ?? '{}');
        if (Number.isSafeInteger(lastSeq)) {
          dropped.set(BigInt(lastSeq), String(lastHash));
          drops.push({ lastSeq: BigInt(lastSeq), by: event.actor ?? '', at: event.recordedAt });
        }
      }
      if (event.seq >= 1n) last = { seq: event.seq, hash };
    },

    finish(end: { seq: bigint; hash: Buffer }): ChainReport {
      for (const { seq, userId } of wiped) {
        if (!forgotten.has(`user:${userId}`))
          report(seq, 'lacks its address and user agent, and no event records their erasure');
      }
      const beginsAfter = first ? first.seq - 1n : 0n;
      const reached = last ?? { seq: 0n, hash: START };
      const begin = first?.previousHash ?? START;
      const isWhole = beginsAfter === 0n && begin === START;
      const anchor = anchored.get(beginsAfter);
      if (anchor !== undefined && anchor !== begin) report(beginsAfter, 'was dropped, and differs from its anchor');
      anchored.delete(beginsAfter);
      if (!isWhole && dropped.get(beginsAfter) !== begin) {
        report(1n, `1 to ${beginsAfter} are missing, and no event records that they were dropped`);
      }
      if (reached.seq !== end.seq || (end.seq > 0n && reached.hash !== end.hash.toString('hex'))) {
        report(reached.seq + 1n, `the chain continues to ${end.seq}: its end is missing or was replaced`);
      }
      for (const seq of anchored.keys()) {
        if (seq > beginsAfter) report(seq, 'has an anchor and is missing');
      }
      problems.sort((one, other) => (one.seq < other.seq ? -1 : Number(one.seq > other.seq)));
      return { events, first: first?.seq ?? 0n, last: reached.seq, hash: reached.hash, drops, problems };
    },
  };
}
