import { expect, test } from 'vitest';
import { isReauthenticated } from '../../src/domain/reauthentication.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const ago = (ms: number) => new Date(NOW.getTime() - ms);
const WINDOW_SECONDS = 600;
const session = {
  hasPassword: true,
  hasFactor: false,
  reauthenticatedByFactor: false,
  reauthenticatedAt: null as Date | null,
  reauthenticatedCounter: 3,
  providerAuthenticatedAt: null as Date | null,
};
const check = (change: Partial<typeof session>, counter = 3) =>
  isReauthenticated({ ...session, ...change }, counter, NOW, WINDOW_SECONDS);

test('a password counts for the window, to the millisecond', () => {
  expect(check({ reauthenticatedAt: ago(600_000) })).toBe(true);
  expect(check({ reauthenticatedAt: ago(600_001) })).toBe(false);
  expect(check({})).toBe(false);
});

test('a password counts for the tokens since, and for no earlier one', () => {
  expect(check({ reauthenticatedAt: ago(0) }, 4)).toBe(true);
  expect(check({ reauthenticatedAt: ago(0) }, 3)).toBe(true);
  expect(check({ reauthenticatedAt: ago(0) }, 2)).toBe(false);
});

test('a sign-in at a provider counts for an account without a password', () => {
  expect(check({ hasPassword: false, providerAuthenticatedAt: ago(600_000) })).toBe(true);
  expect(check({ hasPassword: false, providerAuthenticatedAt: ago(600_001) })).toBe(false);
  expect(check({ hasPassword: false })).toBe(false);
  expect(check({ providerAuthenticatedAt: ago(0) })).toBe(false);
});

test('an account with a factor must have used it', () => {
  const now = { hasFactor: true, reauthenticatedAt: ago(0) };
  expect(check(now)).toBe(false);
  expect(check({ ...now, reauthenticatedByFactor: true })).toBe(true);
  expect(check({ ...now, reauthenticatedByFactor: true }, 2)).toBe(false);
  expect(check({ hasFactor: true, hasPassword: false, providerAuthenticatedAt: ago(0) })).toBe(false);
});
