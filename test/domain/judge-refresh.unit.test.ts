import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeRefresh, type SessionState } from '../../src/domain/judge-refresh.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const at = (ms: number) => new Date(NOW.getTime() + ms);
const session: SessionState = {
  counter: 5,
  rotatedAt: at(-1_000),
  rotationRequestId: 'r-5',
  endedAt: null,
  expiresAt: at(1_000),
};
const judge = (change: Partial<SessionState>, counter: number, requestId = '') =>
  judgeRefresh({ ...session, ...change }, counter, requestId, NOW);

describe('the current token', () => {
  test('rotates', () => expect(judge({}, 5)).toBe('rotate'));
  test('has expired when the session was idle too long', () => expect(judge({ expiresAt: NOW }, 5)).toBe('expired'));
  test('is rejected as ended after the session has ended', () => expect(judge({ endedAt: at(-1) }, 5)).toBe('ended'));
});

describe('the immediate predecessor', () => {
  test('returns the same successor within the grace', () =>
    expect(judge({ rotatedAt: at(-30_000) }, 4)).toBe('replay'));
  test('is a reuse after the grace', () => expect(judge({ rotatedAt: at(-30_001) }, 4)).toBe('reuse'));
  test('returns it at any time with the same request id', () =>
    expect(judge({ rotatedAt: at(-86_400_000) }, 4, 'r-5')).toBe('replay'));
  test('is a reuse with another request id', () =>
    expect(judge({ rotatedAt: at(-86_400_000) }, 4, 'r-4')).toBe('reuse'));
  test('is a reuse with an empty request id, even if the rotation had none', () =>
    expect(judge({ rotatedAt: at(-86_400_000), rotationRequestId: '' }, 4, '')).toBe('reuse'));
});

test('an older token is a reuse, with every request id', () => expect(judge({}, 3, 'r-5')).toBe('reuse'));
test('a number that the session has not reached is invalid', () => expect(judge({}, 6)).toBe('invalid'));

test('at most two tokens of a session are accepted at a time', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: -100_000, max: 0 }),
      fc.constantFrom('', 'a', 'b'),
      fc.constantFrom('', 'a', 'b'),
      (counter, rotatedMsAgo, rotationRequestId, requestId) => {
        const state = { counter, rotatedAt: counter === 1 ? null : at(rotatedMsAgo), rotationRequestId };
        const verdicts = Array.from({ length: counter + 2 }, (_, n) => judge(state, n + 1, requestId));
        expect(verdicts.filter((verdict) => verdict === 'rotate')).toHaveLength(1);
        expect(verdicts[counter - 1]).toBe('rotate');
        expect(verdicts.slice(0, Math.max(0, counter - 2)).every((verdict) => verdict === 'reuse')).toBe(true);
        expect(verdicts.slice(counter).every((verdict) => verdict === 'invalid')).toBe(true);
      },
    ),
  );
});
