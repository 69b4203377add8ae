import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createRevocationView } from '../../src/verifier/revocation-view.ts';

const HOUR = 3600_000;
const OF = { sessionId: '', userId: '', epoch: 1, roles: ['user'], rolesEpoch: 1 };

function viewAt() {
  const clock = { now: 0 };
  return { clock, view: createRevocationView(() => clock.now) };
}

test('is infinitely old before it was ever complete', () => {
  expect(viewAt().view.ageMs()).toBe(Number.POSITIVE_INFINITY);
});

test('measures its age from the start of the read, not from its end', () => {
  const { view, clock } = viewAt();
  clock.now = 500;
  view.confirm(100);
  expect(view.ageMs()).toBe(400);
});

test('keeps the highest epochs of several changes of one user, in any order', () => {
  const userId = randomUUID();
  const changes = [
    { kind: 'user_changed' as const, userId, staleBelow: 3, revokedBelow: 2 },
    { kind: 'user_changed' as const, userId, staleBelow: 5, revokedBelow: 0 },
  ];
  for (const order of [changes, changes.toReversed(), [...changes, ...changes]]) {
    const { view } = viewAt();
    view.apply(order);
    const statuses = [1, 2, 4, 5].map((epoch) => view.statusOf({ ...OF, userId, epoch }));
    expect(statuses).toEqual(['revoked', 'stale', 'stale', 'active']);
  }
});

test('a role that implies another one makes older tokens with the role stale, and no others', () => {
  const { view } = viewAt();
  view.apply([
    { kind: 'role_changed', role: 'editor', staleBelow: 7 },
    { kind: 'role_changed', role: 'editor', staleBelow: 5 },
  ]);
  const statusOf = (roles: string[], rolesEpoch: number) => view.statusOf({ ...OF, roles, rolesEpoch });
  expect(statusOf(['author', 'editor'], 6)).toBe('stale');
  expect(statusOf(['editor'], 7)).toBe('active');
  expect(statusOf(['author', 'user'], 0)).toBe('active');
});

test('forgets an event when no valid token can need it, and not before', () => {
  const { view, clock } = viewAt();
  const [session, user] = [randomUUID(), randomUUID()];
  view.apply([
    { kind: 'session_ended', sessionId: session },
    { kind: 'user_changed', userId: user, staleBelow: 2, revokedBelow: 2 },
    { kind: 'role_changed', role: 'editor', staleBelow: 2 },
  ]);
  clock.now = HOUR + 60_000;
  view.confirm(clock.now);
  expect(view.statusOf({ ...OF, sessionId: session })).toBe('revoked');
  expect(view.statusOf({ ...OF, userId: user })).toBe('revoked');
  expect(view.statusOf({ ...OF, roles: ['editor'] })).toBe('stale');
  clock.now = HOUR + 200_000;
  view.confirm(clock.now);
  expect(view.size()).toBe(0);
});

test('keeps an event for longer when it arrives again', () => {
  const { view, clock } = viewAt();
  const [one, other] = [randomUUID(), randomUUID()];
  view.apply([one, other].map((sessionId) => ({ kind: 'session_ended' as const, sessionId })));
  clock.now = HOUR / 2;
  view.apply([{ kind: 'session_ended', sessionId: one }]);
  clock.now = HOUR + 200_000;
  view.confirm(clock.now);
  expect(view.statusOf({ ...OF, sessionId: one })).toBe('revoked');
  expect(view.size()).toBe(1);
});

const sessionEnded = (sessionId: string) => ({ kind: 'session_ended' as const, sessionId });
const userChanged = (userId: string) => ({ kind: 'user_changed' as const, userId, staleBelow: 2, revokedBelow: 2 });
const roleChanged = (role: string) => ({ kind: 'role_changed' as const, role, staleBelow: 2 });

test.each([
  ['session', sessionEnded],
  ['user', userChanged],
  ['role', roleChanged],
])('an entry of a %s is dropped 63 minutes after its last event, and earlier events do not matter', (_, event) => {
  const { view, clock } = viewAt();
  view.apply([event('one'), event('other')]);
  clock.now = 1_000;
  view.apply([event('one')]);
  const sizeAt = (now: number) => {
    clock.now = now;
    view.confirm(now);
    return view.size();
  };
  expect([3_779_999, 3_780_000, 3_780_999, 3_781_000].map(sizeAt)).toEqual([2, 1, 1, 0]);
});

test('an event of an unknown kind makes it infinitely old for 63 minutes', () => {
  const { view, clock } = viewAt();
  view.confirm(clock.now);
  view.apply([{ kind: 'unknown' }]);
  view.confirm(clock.now);
  expect(view.ageMs()).toBe(Number.POSITIVE_INFINITY);
  clock.now = 1_000;
  view.apply([{ kind: 'unknown' }]);
  const ageAt = (now: number) => {
    clock.now = now;
    view.confirm(now);
    return view.ageMs();
  };
  expect([3_780_000, 3_780_999, 3_781_000].map(ageAt)).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0]);
});

test('its size is the number of sessions, users and roles', () => {
  const { view } = viewAt();
  view.apply([
    sessionEnded('a'),
    ...['a', 'b'].map(userChanged),
    ...['a', 'b', 'c', 'd'].map(roleChanged),
    { kind: 'keys_changed' },
  ]);
  expect(view.size()).toBe(7);
});

test('after a reset an earlier event of an unknown kind does not matter', () => {
  const { view, clock } = viewAt();
  view.apply([{ kind: 'unknown' }]);
  view.reset();
  view.confirm(clock.now);
  expect(view.ageMs()).toBe(0);
});

test('after a reset it is empty and infinitely old', () => {
  const { view, clock } = viewAt();
  view.apply([sessionEnded('a'), userChanged('a'), roleChanged('a')]);
  view.confirm(clock.now);
  view.reset();
  expect([view.size(), view.ageMs()]).toEqual([0, Number.POSITIVE_INFINITY]);
  expect(view.statusOf({ ...OF, sessionId: 'a', userId: 'a', roles: ['a'] })).toBe('active');
});

test('without a clock of its own it uses the monotonic clock of the process', () => {
  const view = createRevocationView();
  view.confirm(performance.now());
  expect(view.ageMs()).toBeGreaterThanOrEqual(0);
  expect(view.ageMs()).toBeLessThan(10_000);
});
