import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createRevocationView } from '../../src/verifier/revocation-view.ts';

const HOUR = 3600_000;

function viewAt() {
  const clock = { now: 0 };
  return { clock, view: createRevocationView(() => clock.now) };
}

test('before it was ever complete it is infinitely old', () => {
  expect(viewAt().view.ageMs()).toBe(Number.POSITIVE_INFINITY);
});

test('tells its age from when the reading began, not from when it ended', () => {
  const { view, clock } = viewAt();
  clock.now = 500;
  view.confirm(100);
  expect(view.ageMs()).toBe(400);
});

test('of several changes of one user the highest epochs count, in whatever order they are heard of', () => {
  const userId = randomUUID();
  const changes = [
    { kind: 'user_changed' as const, userId, staleBelow: 3, revokedBelow: 2 },
    { kind: 'user_changed' as const, userId, staleBelow: 5, revokedBelow: 0 },
  ];
  for (const order of [changes, changes.toReversed(), [...changes, ...changes]]) {
    const { view } = viewAt();
    view.apply(order);
    const standings = [1, 2, 4, 5].map((epoch) => view.standing({ sessionId: '', userId, epoch }));
    expect(standings).toEqual(['ended', 'stale', 'stale', 'live']);
  }
});

test('forgets what no living token can need, and not before', () => {
  const { view, clock } = viewAt();
  const [session, user] = [randomUUID(), randomUUID()];
  view.apply([
    { kind: 'session_ended', sessionId: session },
    { kind: 'user_changed', userId: user, staleBelow: 2, revokedBelow: 2 },
  ]);
  clock.now = HOUR + 60_000;
  view.confirm(clock.now);
  expect(view.standing({ sessionId: session, userId: '', epoch: 1 })).toBe('ended');
  expect(view.standing({ sessionId: '', userId: user, epoch: 1 })).toBe('ended');
  clock.now = HOUR + 200_000;
  view.confirm(clock.now);
  expect(view.size()).toBe(0);
});

test('hearing of a change again keeps it for longer', () => {
  const { view, clock } = viewAt();
  const [one, other] = [randomUUID(), randomUUID()];
  view.apply([one, other].map((sessionId) => ({ kind: 'session_ended' as const, sessionId })));
  clock.now = HOUR / 2;
  view.apply([{ kind: 'session_ended', sessionId: one }]);
  clock.now = HOUR + 200_000;
  view.confirm(clock.now);
  expect(view.standing({ sessionId: one, userId: '', epoch: 1 })).toBe('ended');
  expect(view.size()).toBe(1);
});
