// The rules about the subject of a call or a change.
import { describe, expect, test } from 'vitest';
import { type Actor, actorName, requireReauthentication } from '../../src/domain/actor.ts';
import { chosenAudiences, parseAudiences } from '../../src/domain/audience.ts';
import { AuthError } from '../../src/domain/auth-error.ts';
import { isForAudience } from '../../src/domain/requirement.ts';

const user: Actor = { kind: 'user', userId: 'u', sessionId: 's', refreshCounter: 3 };
const service: Actor = { kind: 'service', name: 'billing', serviceAccountId: null, keyId: null };
const operator: Actor = { kind: 'operator', name: 'ada' };

test('the name of an actor has its kind in front', () => {
  expect([user, service, operator].map(actorName)).toEqual(['user:u', 'service:billing', 'operator:ada']);
});

test('only a user can be required to re-authenticate', () => {
  expect(requireReauthentication(user, 600)).toEqual({ ...user, reauthenticatedWithin: 600 });
  for (const actor of [service, operator]) expect(requireReauthentication(actor, 600)).toBe(actor);
});

test('a token is for each of its audiences only', () => {
  expect(['shop', 'latchkey', 'sho', ''].map((one) => isForAudience(['latchkey', 'shop'], one))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

describe('chosen audiences', () => {
  const all = ['latchkey', 'shop', 'warehouse'];

  test('are all of the deployment unless the caller names some', () => {
    expect(parseAudiences([], all)).toBeNull();
    expect(chosenAudiences(null, all)).toEqual(all);
  });

  test('have the order of the deployment, once each', () => {
    expect(parseAudiences(['warehouse', 'latchkey', 'warehouse'], all)).toEqual(['latchkey', 'warehouse']);
    expect(chosenAudiences(['warehouse', 'latchkey'], all)).toEqual(['latchkey', 'warehouse']);
  });

  test('must all be audiences of the deployment', () => {
    expect(() => parseAudiences(['shop', 'other'], all)).toThrow('audiences of this deployment');
    expect(chosenAudiences(['other'], all)).toEqual([]);
  });
});

test('an error has its reason, and no details unless they are given', () => {
  const cause = new Error('connection lost');
  expect(new AuthError('OVERLOADED')).toMatchObject({
    name: 'AuthError',
    message: 'OVERLOADED',
    reason: 'OVERLOADED',
    violations: [],
    retryAfterMs: undefined,
    requiredRole: undefined,
    cause: undefined,
  });
  const details = {
    violations: [{ field: 'email', description: 'is required' }],
    retryAfterMs: 5,
    requiredRole: 'admin',
  };
  expect(new AuthError('PERMISSION_DENIED', { ...details, cause })).toMatchObject({ ...details, cause });
});
