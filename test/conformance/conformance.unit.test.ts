// The engine and the client library give the verdicts of the table, and the table is the one that its script writes.
import { readFileSync } from 'node:fs';
import { fromBinary, fromJson, toJson } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { WatchResponseSchema } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { createWatchedState, type WatchedKeys } from '../../src/client/watched-state.ts';
import { createEngine } from '../../src/verifier/engine.ts';
import { createRevocationView } from '../../src/verifier/revocation-view.ts';
import { allCases, toJsonLines } from './cases.ts';
import type { VerdictCase } from './verdict-case.ts';

const FILE = readFileSync('conformance/verdicts.jsonl', 'utf8');
const cases: VerdictCase[] = FILE.trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line));

test('the table is the one that npm run conformance writes', () => {
  expect(FILE).toBe(toJsonLines(allCases()));
});

test('every name in the table is unique', () => {
  expect(cases.length).toBeGreaterThan(200);
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
});

test.each(cases)('$verdict: $name', (one) => {
  expect(verdictOf(one, messagesOf(one))).toBe(one.verdict);
});

test('the messages as JSON lead to the same verdicts', () => {
  const options = { ignoreUnknownFields: true };
  for (const one of cases) {
    const messages = one.messages.map(({ json }) => fromJson(WatchResponseSchema, json, options));
    expect(verdictOf(one, messages), one.name).toBe(one.verdict);
    expect(messagesOf(one).map((message) => toJson(WatchResponseSchema, message))).toEqual(
      messages.map((message) => toJson(WatchResponseSchema, message)),
    );
  }
});

function messagesOf({ messages }: VerdictCase) {
  return messages.map(({ wire }) => fromBinary(WatchResponseSchema, Buffer.from(wire, 'base64')));
}

function verdictOf(one: VerdictCase, messages: ReturnType<typeof messagesOf>): string {
  let now = 0;
  let watched: WatchedKeys | null = null;
  const view = createRevocationView(() => now);
  const state = createWatchedState({
    view,
    onKeys(keys) {
      watched = keys;
    },
  });
  state.startStream();
  for (const [n, message] of messages.entries()) {
    if (n === one.resumes_after) state.startStream();
    now = one.messages[n]?.arrives_at_ms ?? 0;
    state.receive(message, now);
  }
  if (one.resumes_after === messages.length) state.startStream();
  now = one.verify_at_ms;
  return watched ? judge(one, watched, view, state.serverTimeAt(now) ?? 0) : 'UNDECIDED';
}

function judge(one: VerdictCase, watched: WatchedKeys, view: ReturnType<typeof createRevocationView>, time: number) {
  const engine = createEngine({
    ...watched,
    view,
    maxViewAgeMs: one.max_staleness_ms,
    cacheBytes: 1_000_000,
    revalidateSeconds: 0,
    now: () => new Date(time),
  });
  const verdict = engine.judge(one.token, one.audience);
  if ('undecided' in verdict) return 'UNDECIDED';
  return 'decision' in verdict ? 'VALID' : verdict.reason;
}
