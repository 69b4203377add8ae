// The one rule for requirements, as a table and as properties.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ACRS, type Acr } from '../../src/domain/acr.ts';
import { type Subject, unmetReason } from '../../src/domain/requirement.ts';

const NOW = 1_800_000_000_000;
const editor: Subject = {
  kind: 'user',
  roles: ['user', 'editor'],
  acr: 'mfa',
  authTime: new Date(NOW - 600_000),
};
const service: Subject = { kind: 'service', roles: ['editor'] };

test.each([
  [{}, null],
  [{ role: '' }, null],
  [{ role: 'editor' }, null],
  [{ role: 'edit' }, 'ROLE_NOT_GRANTED'],
  [{ kind: 'user' }, null],
  [{ kind: 'service' }, 'PERMISSION_DENIED'],
  [{ kind: 'user', role: 'admin' }, 'ROLE_NOT_GRANTED'],
  [{ kind: 'service', role: 'admin' }, 'PERMISSION_DENIED'],
  [{ acr: null, maxAgeSeconds: null }, null],
  [{ acr: 'pwd' }, null],
  [{ acr: 'mfa' }, null],
  [{ acr: 'phr' }, 'STEP_UP_REQUIRED'],
  [{ acr: 'phr', role: 'admin' }, 'STEP_UP_REQUIRED'],
  [{ acr: 'mfa', role: 'admin' }, 'ROLE_NOT_GRANTED'],
  [{ maxAgeSeconds: 600 }, null],
  [{ maxAgeSeconds: 599 }, 'STEP_UP_REQUIRED'],
  [{ maxAgeSeconds: 599, role: 'admin' }, 'STEP_UP_REQUIRED'],
  [{ acr: 'mfa', maxAgeSeconds: 599 }, 'STEP_UP_REQUIRED'],
  [{ acr: 'phr', maxAgeSeconds: 600 }, 'STEP_UP_REQUIRED'],
  [{ kind: 'service', acr: 'phr' }, 'PERMISSION_DENIED'],
] as const)('an editor with two factors, ten minutes ago, and the requirement %o: %s', (requirement, reason) => {
  expect(unmetReason(requirement, editor, NOW)).toBe(reason);
});

test.each([
  [{ role: 'editor' }, null],
  [{ acr: 'pwd' }, 'PERMISSION_DENIED'],
  [{ maxAgeSeconds: 31_536_000 }, 'PERMISSION_DENIED'],
  [{ acr: 'pwd', role: 'admin' }, 'PERMISSION_DENIED'],
] as const)('a service, which cannot step up, and the requirement %o: %s', (requirement, reason) => {
  expect(unmetReason(requirement, service, NOW)).toBe(reason);
});

describe('the age of an authentication', () => {
  test('is exact to the millisecond', () => {
    expect(unmetReason({ maxAgeSeconds: 600 }, editor, NOW)).toBeNull();
    expect(unmetReason({ maxAgeSeconds: 600 }, editor, NOW + 1)).toBe('STEP_UP_REQUIRED');
  });

  test('counts as too high while the time of the authentication is unknown', () => {
    for (const subject of [
      { ...editor, authTime: null },
      { kind: 'user' as const, roles: [] },
    ])
      expect(unmetReason({ maxAgeSeconds: 31_536_000 }, subject, NOW)).toBe('STEP_UP_REQUIRED');
  });

  test('counts as too high without the present time', () => {
    expect(unmetReason({ maxAgeSeconds: 31_536_000 }, editor)).toBe('STEP_UP_REQUIRED');
    expect(unmetReason({ acr: 'mfa' }, editor)).toBeNull();
  });
});

test('a user without a known strength has none', () => {
  expect(unmetReason({ acr: 'pwd' }, { kind: 'user', roles: [] }, NOW)).toBe('STEP_UP_REQUIRED');
});

describe('for every user and requirement', () => {
  const acr = fc.constantFrom<Acr>(...ACRS);
  const users = fc.record({ acr, ageMs: fc.integer({ min: -60_000, max: 100_000 }), hasRole: fc.boolean() });
  const requirements = fc.record(
    { acr, maxAgeSeconds: fc.integer({ min: 1, max: 99 }), role: fc.constant('admin') },
    { requiredKeys: [] },
  );
  const subjectOf = ({ acr, ageMs, hasRole }: { acr: Acr; ageMs: number; hasRole: boolean }): Subject => ({
    kind: 'user',
    roles: hasRole ? ['admin'] : [],
    acr,
    authTime: new Date(NOW - ageMs),
  });

  test('the strength is decided first, and by both of its parts', () => {
    fc.assert(
      fc.property(users, requirements, (user, requirement) => {
        const isStrong = requirement.acr === undefined || ACRS.indexOf(user.acr) >= ACRS.indexOf(requirement.acr);
        const isRecent = user.ageMs <= (requirement.maxAgeSeconds ?? Number.POSITIVE_INFINITY) * 1000;
        const withRole = requirement.role === undefined || user.hasRole ? null : 'ROLE_NOT_GRANTED';
        const expected = isStrong && isRecent ? withRole : 'STEP_UP_REQUIRED';
        expect(unmetReason(requirement, subjectOf(user), NOW)).toBe(expected);
      }),
    );
  });

  test('a stronger or younger authentication meets what a weaker or older one meets', () => {
    fc.assert(
      fc.property(users, users, requirements, (one, other, requirement) => {
        const isBetter = ACRS.indexOf(one.acr) >= ACRS.indexOf(other.acr) && one.ageMs <= other.ageMs;
        fc.pre(isBetter && one.hasRole === other.hasRole);
        if (unmetReason(requirement, subjectOf(other), NOW) === null)
          expect(unmetReason(requirement, subjectOf(one), NOW)).toBeNull();
      }),
    );
  });
});
