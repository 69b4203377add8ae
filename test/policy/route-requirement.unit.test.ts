import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AuthError } from '../../src/domain/auth-error.ts';
import { combineRequirements, parseRequirement } from '../../src/policy/route-requirement.ts';

const NOTHING = {
  access: 'required',
  roles: [],
  audiences: [],
  acr: null,
  maxAgeSeconds: null,
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
    [{ acr: 'MFA' }, 'acr must be one of pwd, mfa, phr'],
    [{ acr: '' }, 'acr must be one of'],
    [{ acr: 'constructor' }, 'acr must be one of'],
    [{ arc: 'mfa' }, 'arc is not one of'],
    [{ max_age: '0' }, 'max_age must be seconds from 1 to 31536000'],
    [{ max_age: '' }, 'max_age must be seconds'],
    [{ max_age: '10m' }, 'max_age must be seconds'],
    [{ max_age: '1e3' }, 'max_age must be seconds'],
    [{ max_age: ' 600' }, 'max_age must be seconds'],
    [{ max_age: '-1' }, 'max_age must be seconds'],
    [{ max_age: '31536001' }, 'max_age must be seconds'],
    [{ access: 'public', acr: 'mfa' }, 'access must be required for a route with acr or max_age'],
    [{ access: 'optional', max_age: '600' }, 'access must be required for a route with acr or max_age'],
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

  test('add up to the strongest acr and to the lowest max_age', () => {
    const [one, other] = [
      parseRequirement({ acr: 'mfa', max_age: '600' }),
      parseRequirement({ acr: 'phr', max_age: '31536000' }),
    ];
    for (const sources of [
      [one, other],
      [other, one],
    ])
      expect(combineRequirements(sources)).toMatchObject({ acr: 'phr', maxAgeSeconds: 600 });
    // A rule of the policy file is complete: it also has the values that it does not state.
    const rule = combineRequirements([parseRequirement({ role: 'admin' })]);
    for (const sources of [
      [one, rule],
      [rule, one],
    ])
      expect(combineRequirements(sources)).toMatchObject({ acr: 'mfa', maxAgeSeconds: 600, roles: ['admin'] });
    const open = parseRequirement({ access: 'public' });
    for (const strength of [one, parseRequirement({ max_age: '1' })])
      expect(combineRequirements([open, strength]).access).toBe('required');
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
