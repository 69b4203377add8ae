import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AuthError } from '../../src/domain/auth-error.ts';
import { combineRequirements, parseRequirement } from '../../src/policy/route-requirement.ts';

const NOTHING = {
  access: 'required',
  roles: [],
  audiences: [],
  apiKeys: 'reject',
  preflight: 'check',
  session: 'none',
  redirect: 'location',
};

function violationsOf(values: Record<string, string>): string[] {
  try {
    parseRequirement(values);
    return [];
  } catch (error) {
    return (error as AuthError).violations.map(({ field, description }) => `${field} ${description}`);
  }
}

describe('the requirement of one source', () => {
  test.each([
    [{ rol: 'admin' }, 'rol is not one of'],
    [{ toString: 'x' }, 'toString is not one of'],
    [{ access: 'open' }, 'access must be one of required, optional, public'],
    [{ access: '' }, 'access must be one of'],
    [{ role: 'No Role' }, 'role must be at most'],
    [{ audience: '' }, 'audience must not be empty'],
    [{ access: 'optional', role: 'admin' }, 'access must be required for a route with a role'],
    [{ access: 'public', audience: 'shop' }, 'access must be required or optional'],
  ])('rejects %j', (values, violation) => {
    expect(violationsOf(values)).toEqual([expect.stringContaining(violation)]);
  });

  test('has one violation for each invalid name and value', () => {
    expect(violationsOf({ access: 'open', role: '', audience: '', rol: 'x' })).toHaveLength(4);
  });

  test('a name of a prototype is an unknown name', () => {
    expect(violationsOf(JSON.parse('{"__proto__":"x"}'))).toHaveLength(1);
  });
});

describe('several sources', () => {
  test('require a token when none states a requirement', () => {
    expect(combineRequirements([])).toMatchObject(NOTHING);
    expect(combineRequirements([{}, {}])).toMatchObject(NOTHING);
  });

  test('add up to the strictest access and to all roles and audiences', () => {
    const [one, other] = [parseRequirement({ role: 'admin', audience: 'shop' }), parseRequirement({ role: 'auditor' })];
    expect(combineRequirements([one, other])).toMatchObject({ roles: ['admin', 'auditor'], audiences: ['shop'] });
    const open = [parseRequirement({ access: 'public' }), parseRequirement({ access: 'optional' })];
    expect(combineRequirements(open).access).toBe('optional');
  });

  test('a role or an audience of one source excludes the anonymous access of another', () => {
    const open = parseRequirement({ access: 'public' });
    expect(combineRequirements([open, parseRequirement({ role: 'admin' })]).access).toBe('required');
    expect(combineRequirements([open, parseRequirement({ audience: 'shop' })]).access).toBe('optional');
  });

  const STATED = fc.record(
    {
      access: fc.constantFrom('required' as const, 'optional' as const, 'public' as const),
      roles: fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 1 }),
      audiences: fc.array(fc.constantFrom('x', 'y'), { minLength: 1, maxLength: 1 }),
    },
    { requiredKeys: [] },
  );
  const STRICTNESS = ['public', 'optional', 'required'];

  test('a further source never relaxes a requirement that another states', () => {
    fc.assert(
      fc.property(STATED, STATED, (one, other) => {
        const [alone, both] = [combineRequirements([one]), combineRequirements([one, other])];
        if (one.access)
          expect(STRICTNESS.indexOf(both.access)).toBeGreaterThanOrEqual(STRICTNESS.indexOf(alone.access));
        expect(both.roles).toEqual(expect.arrayContaining([...alone.roles]));
        expect(both.audiences).toEqual(expect.arrayContaining([...alone.audiences]));
        expect(combineRequirements([other, one]).access).toBe(both.access);
      }),
    );
  });
});
