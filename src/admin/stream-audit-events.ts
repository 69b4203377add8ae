import { pause } from '../async/pause.ts';
import type { Deps } from '../deps.ts';
import type { AuditRecord } from '../domain/audit-event.ts';
import type { Call } from '../domain/call.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import type { AuditFilter } from '../store/audit-trail.ts';
import { auditFilterParsers } from './audit-filter.ts';

/** The users of an email can change while a stream runs, so that it has no such filter. */
export type StreamAuditEventsInput = Omit<AuditFilter, 'from' | 'until' | 'person'> & { afterSeq: bigint };

/** All matching events up to the sequence number `cursor` have been sent. */
export type AuditEventsMessage = { events: AuditRecord[]; cursor: bigint };

const PAGE = 100;
/** A query examines at most this many events, however few of them match. */
const EXAMINED = 50_000n;
const POLL_MS = 500;
/** An idle stream sends a message this often, so that both sides detect a broken connection. */
const HEARTBEAT_MS = 5_000;

/** Sends existing events after a sequence number and then new ones, until the caller cancels. */
export async function* streamAuditEvents(
  { store, closing }: Pick<Deps, 'store' | 'closing'>,
  { afterSeq, ...input }: StreamAuditEventsInput,
  { signal }: Call,
): AsyncIterable<AuditEventsMessage> {
  const times = { from: null, until: null };
  const { network } = parseFields({
    ...auditFilterParsers({ ...input, ...times }),
    after_seq: () => (afterSeq < 0n ? invalid('must be 0 or a sequence number of the chain') : afterSeq),
  });
  const filter = { ...input, ...times, network };
  const ended = AbortSignal.any([signal, closing]);
  let cursor = afterSeq;
  let sentAt = Number.NEGATIVE_INFINITY;
  while (!ended.aborted) {
    // Sequence numbers are assigned in order, so all events up to this one are committed.
    const { seq: end } = await store.auditTrail.end();
    const upTo = cursor + EXAMINED < end ? cursor + EXAMINED : end;
    const events = await store.auditTrail.after({ after: cursor, upTo, filter, atMost: PAGE });
    const reached = events.length === PAGE ? (events.at(-1)?.seq ?? cursor) : upTo;
    const isBehind = reached < end;
    if (reached > cursor) cursor = reached;
    if (events.length > 0 || performance.now() - sentAt > HEARTBEAT_MS) {
      sentAt = performance.now();
      yield { events, cursor };
    }
    if (!isBehind) await pause(POLL_MS, ended);
  }
}
