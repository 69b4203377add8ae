import { createHash, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Anchor, type ChainedEvent, createChainVerifier } from '../../src/domain/audit-chain.ts';

const START = Buffer.alloc(32);
const sha256 = (...parts: (Buffer | string)[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const field = (text: string | null) => (text === null ? '-' : `${Buffer.byteLength(text)}:${text}`);

/** The hash of an event, in the order of fields that the documentation of the audit trail states. */
function hashOf(event: ChainedEvent): Buffer {
  const { seq, recordedAt, id, occurredAt, type, userId, sessionId, account, detail, actor, target } = event;
  const fields = [String(seq), recordedAt, id, occurredAt, type, userId, sessionId, account, detail, actor, target];
  const all = [...fields, event.before, event.after, event.requestId, event.originDigest.toString('hex')];
  return sha256(event.previousHash, all.map(field).join(''));
}

/** Events 1 to `count`, each in a chain with the one before. */
function chainOf(count: number, change: (seq: number) => Partial<ChainedEvent> = () => ({})): ChainedEvent[] {
  const events: ChainedEvent[] = [];
  for (let seq = 1; seq <= count; seq += 1) {
    const originSalt = Buffer.from(`salt ${seq}`);
    const [address, userAgent] = ['192.0.2.1', 'an agent ü'];
    const event: ChainedEvent = {
      ...{ seq: BigInt(seq), recordedAt: '2026-01-31T12:00:00.000000Z', id: randomUUID() },
      ...{ occurredAt: '2026-01-31T11:59:59.000000Z', type: 'refreshed', userId: 'u', sessionId: null, account: null },
      ...{ detail: null, actor: null, target: null, before: null, after: null, requestId: 'r', address, userAgent },
      ...{ originSalt, originDigest: sha256(originSalt, field(address) + field(userAgent)) },
      ...{ previousHash: events.at(-1)?.hash ?? START, hash: START, ...change(seq) },
    };
    event.hash = hashOf(event);
    events.push(event);
  }
  return events;
}

function verify(events: ChainedEvent[], end = events.at(-1), anchors: Anchor[] = []) {
  const verifier = createChainVerifier(anchors);
  for (const event of events) verifier.add(event);
  return verifier.finish({ seq: end?.seq ?? 0n, hash: end?.hash ?? START });
}
const places = (report: ReturnType<typeof verify>) => report.problems.map(({ seq }) => Number(seq));
const hex = (event: ChainedEvent | undefined) => event?.hash.toString('hex') ?? '';

test('a whole chain has no problems', () => {
  const events = chainOf(5);
  expect(verify(events)).toEqual({ events: 5, first: 1n, last: 5n, hash: hex(events[4]), drops: [], problems: [] });
});

test('an empty trail has no problems', () => {
  expect(verify([])).toEqual({ events: 0, first: 0n, last: 0n, hash: '0'.repeat(64), drops: [], problems: [] });
});

test.each<[string, Partial<ChainedEvent>]>([
  ['recordedAt', { recordedAt: '2026-01-31T12:00:00.000001Z' }],
  ['id', { id: randomUUID() }],
  ['occurredAt', { occurredAt: '2026-01-31T12:00:00.000001Z' }],
  ['type', { type: 'registered' }],
  ['userId', { userId: 'other' }],
  ['sessionId', { sessionId: '' }],
  ['account', { account: '' }],
  ['detail', { detail: '' }],
  ['actor', { actor: '' }],
  ['target', { target: '' }],
  ['before', { before: '' }],
  ['after', { after: '' }],
  ['requestId', { requestId: '' }],
])('a change of %s is found', (_, change) => {
  const events = chainOf(3);
  Object.assign(events[1] as ChainedEvent, change);
  expect(places(verify(events))).toEqual([2]);
});

test.each([{ address: '192.0.2.2' }, { userAgent: 'another' }])('a change of the origin is found: %o', (change) => {
  const events = chainOf(3);
  Object.assign(events[1] as ChainedEvent, change);
  expect(places(verify(events))).toEqual([2]);
});

test('a missing event is found, and so is a missing run', () => {
  const events = chainOf(6);
  const one = verify(events.filter(({ seq }) => seq !== 3n));
  expect(one.problems).toEqual([{ seq: 3n, problem: '3 is missing' }]);
  const run = verify(events.filter(({ seq }) => seq < 2n || seq > 4n));
  expect(run.problems).toEqual([{ seq: 2n, problem: '2 to 4 are missing' }]);
});

test('a duplicate event is found', () => {
  const events = chainOf(3);
  const report = verify([...events.slice(0, 2), events[1] as ChainedEvent, ...events.slice(2)]);
  expect(report.problems).toEqual([{ seq: 2n, problem: 'is duplicate' }]);
});

test('an event at an impossible position is found', () => {
  const events = chainOf(2);
  const [stray] = chainOf(1, () => ({ seq: 0n }));
  expect(places(verify([stray as ChainedEvent, ...events]))).toEqual([0]);
});

test('a replaced event is found by the next one', () => {
  const events = chainOf(3);
  const other = chainOf(3, (seq) => (seq === 2 ? { detail: 'another' } : {}));
  const replaced = { ...(other[1] as ChainedEvent), previousHash: (events[0] as ChainedEvent).hash };
  replaced.hash = hashOf(replaced);
  expect(places(verify([events[0] as ChainedEvent, replaced, events[2] as ChainedEvent]))).toEqual([3]);
});

test('a missing end is found', () => {
  const events = chainOf(4);
  expect(places(verify(events.slice(0, 3), events[3]))).toEqual([4]);
  const end = { ...(events[3] as ChainedEvent), hash: sha256('another') };
  expect(places(verify(events, end))).toEqual([5]);
});

test('a missing beginning is found, unless an event records that it was dropped', () => {
  const events = chainOf(5);
  expect(places(verify(events.slice(2)))).toEqual([1]);
  const lastHash = hex(events[1]);
  const drop = (before: object) => {
    const all = chainOf(2);
    const rest: ChainedEvent[] = [];
    for (const seq of [3n, 4n]) {
      const [event] = chainOf(1, () => ({
        seq,
        previousHash: (rest.at(-1) ?? (all[1] as ChainedEvent)).hash,
        ...(seq === 4n && { type: 'audit_events_dropped', actor: 'operator:root', before: JSON.stringify(before) }),
      }));
      rest.push(event as ChainedEvent);
    }
    return { rest, hash: hex(all[1]) };
  };
  expect(places(verify(drop({ lastSeq: 2, lastHash }).rest))).toEqual([1]);
  expect(places(verify(drop({}).rest))).toEqual([1]);
});

test('a dropped beginning is reported with the operator and the time', () => {
  const all = chainOf(2);
  const end = all[1] as ChainedEvent;
  const [event] = chainOf(1, () => ({
    seq: 3n,
    previousHash: end.hash,
    type: 'audit_events_dropped',
    actor: 'operator:root',
    before: JSON.stringify({ lastSeq: 2, lastHash: hex(end) }),
  }));
  const report = verify([event as ChainedEvent]);
  expect(report.problems).toEqual([]);
  expect(report.drops).toEqual([{ lastSeq: 2n, by: 'operator:root', at: '2026-01-31T12:00:00.000000Z' }]);
  expect(report).toMatchObject({ events: 1, first: 3n, last: 3n });
});

test('an erased origin requires an event that erased the traces of its user', () => {
  const erased = { originSalt: null, address: '', userAgent: '' };
  const unexplained = chainOf(2, (seq) => (seq === 1 ? erased : {}));
  expect(places(verify(unexplained))).toEqual([1]);
  const byEvent = (target: string) =>
    chainOf(2, (seq) => (seq === 1 ? erased : { type: 'traces_erased', target, userId: null }));
  expect(places(verify(byEvent('user:u')))).toEqual([]);
  expect(places(verify(byEvent('user:other')))).toEqual([1]);
  for (const trace of [{ address: '192.0.2.1' }, { userAgent: 'x' }]) {
    const partly = chainOf(2, (seq) =>
      seq === 1 ? { ...erased, ...trace } : { type: 'traces_erased', target: 'user:u', userId: null },
    );
    expect(places(verify(partly))).toEqual([1]);
  }
});

test('an anchor reveals a rewritten chain', () => {
  const [events, other] = [chainOf(3), chainOf(3)];
  const anchor = { seq: 2n, hash: hex(events[1]) };
  expect(places(verify(events, events[2], [anchor]))).toEqual([]);
  expect(places(verify(other, other[2], [anchor]))).toEqual([2]);
  expect(places(verify(events.slice(0, 1), events[0], [anchor]))).toEqual([2]);
});

test('an anchor below a dropped beginning is ignored, and one at its end is compared', () => {
  const all = chainOf(3);
  const end = all[2] as ChainedEvent;
  const [event] = chainOf(1, () => ({
    seq: 4n,
    previousHash: end.hash,
    type: 'audit_events_dropped',
    before: JSON.stringify({ lastSeq: 3, lastHash: hex(end) }),
  }));
  const check = (anchor: Anchor) => places(verify([event as ChainedEvent], event, [anchor]));
  expect(check({ seq: 1n, hash: 'x' })).toEqual([]);
  expect(check({ seq: 3n, hash: hex(end) })).toEqual([]);
  expect(check({ seq: 3n, hash: 'x' })).toEqual([3]);
});

test('an event of another type does not justify erased traces', () => {
  const erased = { originSalt: null, address: '', userAgent: '' };
  const events = chainOf(2, (seq) => (seq === 1 ? erased : { type: 'refreshed', target: 'user:u' }));
  expect(places(verify(events))).toEqual([1]);
});

test('a first event with a predecessor means that the beginning of the chain is missing', () => {
  const events = chainOf(2, (seq) => (seq === 1 ? { previousHash: sha256('another') } : {}));
  expect(places(verify(events))).toEqual([1]);
});

test('an anchor at a missing position is reported once', () => {
  const events = chainOf(2);
  expect(places(verify(events, events[1], [{ seq: 5n, hash: 'x' }]))).toEqual([5]);
  expect(places(verify(events, events[1], [{ seq: 0n, hash: '0'.repeat(64) }]))).toEqual([]);
  expect(places(verify(events, events[1], [{ seq: 0n, hash: 'x' }]))).toEqual([0]);
});

test('an end at the same position with another hash is found, and an empty trail has no end', () => {
  expect(places(verify([], { ...(chainOf(1)[0] as ChainedEvent), seq: 0n }))).toEqual([]);
});

test('a drop without an actor is reported without one', () => {
  const all = chainOf(1);
  const end = all[0] as ChainedEvent;
  const before = JSON.stringify({ lastSeq: 1, lastHash: hex(end) });
  const [event] = chainOf(1, () => ({ seq: 2n, previousHash: end.hash, type: 'audit_events_dropped', before }));
  expect(verify([event as ChainedEvent]).drops).toMatchObject([{ lastSeq: 1n, by: '' }]);
});

test('problems are listed by their positions', () => {
  const events = chainOf(6);
  Object.assign(events[4] as ChainedEvent, { detail: 'x' });
  Object.assign(events[1] as ChainedEvent, { originSalt: null, address: '', userAgent: '' });
  expect(places(verify(events))).toEqual([2, 5]);
});
