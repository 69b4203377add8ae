import { pause } from '../async/pause.ts';
import type { Deps } from '../deps.ts';
import type { AuditRecord } from '../domain/audit-event.ts';
import type { Call } from '../domain/call.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import type { AuditFilter } from '../store/audit-trail.ts';
import { auditFilterParsers } from './audit-filter.ts';

export type StreamAuditEventsInput = Omit<AuditFilter, 'from' | 'until'> & { afterSeq: bigint };

/** `cursor`: all that matches up to this place has been told. */
export type AuditEventsMessage = { events: AuditRecord[]; cursor: bigint };

const PAGE = 100;
const POLL_MS = 500;
/** Without events a message comes this often, so that both sides know that the other one is there. */
const HEARTBEAT_MS = 5_000;

/** In the order of the chain, from a place on and for as long as the caller wants: what is there, then what comes. */
export async function* streamAuditEvents(
  { store, closing }: Pick<Deps, 'store' | 'closing'>,
  { afterSeq, ...input }: StreamAuditEventsInput,
  { signal }: Call,
): AsyncIterable<AuditEventsMessage> {
  const filter = { ...input, from: null, until: null };
  parseFields({
    ...auditFilterParsers(filter),
    after_seq: () => (afterSeq < 0n ? invalid('must be 0 or a place in the chain') : afterSeq),
  });
  const ended = AbortSignal.any([signal, closing]);
  let cursor = afterSeq;
  let saidAt = Number.NEGATIVE_INFINITY;
  while (!ended.aborted) {
    // What is behind this place is there already: places are given one after the other.
    const { seq: end } = await store.auditTrail.end();
    const events = await store.auditTrail.after({ after: cursor, upTo: end, filter, atMost: PAGE });
    const isBehind = events.length === PAGE;
    const reached = isBehind ? (events.at(-1)?.seq ?? cursor) : end;
    if (events.length > 0 || performance.now() - saidAt > HEARTBEAT_MS) {
      if (reached > cursor) cursor = reached;
      saidAt = performance.now();
      yield { events, cursor };
    }
    if (!isBehind) await pause(POLL_MS, ended);
  }
}
