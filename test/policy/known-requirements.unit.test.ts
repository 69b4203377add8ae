import { expect, test } from 'vitest';
import { rememberRequirements } from '../../src/policy/known-requirements.ts';
import type { StatedRequirement } from '../../src/policy/route-requirement.ts';

const LIMIT = 1_000;

function counted() {
  const parsed: string[] = [];
  const statedBy = rememberRequirements((text): StatedRequirement => {
    parsed.push(text);
    if (text === 'invalid') throw new TypeError('invalid');
    return { roles: [text] };
  });
  return { parsed, statedBy };
}

test('each text is parsed once, and has its own requirement', () => {
  const { parsed, statedBy } = counted();
  const first = statedBy('admin');
  expect(statedBy('user')).toEqual({ roles: ['user'] });
  expect(statedBy('admin')).toBe(first);
  expect(parsed).toEqual(['admin', 'user']);
});

test('an invalid text throws each time', () => {
  const { parsed, statedBy } = counted();
  for (const _ of [1, 2]) expect(() => statedBy('invalid')).toThrow(TypeError);
  expect(parsed).toEqual(['invalid', 'invalid']);
});

test('neither many texts nor long ones stay in memory', () => {
  const { parsed, statedBy } = counted();
  const long = 'x'.repeat(1_025);
  for (const _ of [1, 2]) expect(statedBy(long)).toEqual({ roles: [long] });
  expect(parsed).toHaveLength(2);
  for (let n = 0; n <= LIMIT; n += 1) statedBy(`role-${n}`);
  statedBy('role-0');
  expect(parsed).toHaveLength(2 + LIMIT + 2);
  statedBy(`role-${LIMIT}`);
  expect(parsed).toHaveLength(2 + LIMIT + 2);
});
