import { expect, test } from 'vitest';
import { parseLine, parseReason } from '../../src/domain/admin-reason.ts';
import { AuthError } from '../../src/domain/auth-error.ts';
import { InvalidValue, invalid, parseFields } from '../../src/domain/parse-fields.ts';

test('valid fields are returned by their names', () => {
  expect(parseFields({ one: () => 1, two: () => 'b' })).toEqual({ one: 1, two: 'b' });
});

test('each invalid field is reported at once, in one error', () => {
  let thrown: unknown;
  try {
    parseFields({ one: () => invalid('must be 1'), two: () => 2, three: () => invalid('must be 3') });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(AuthError);
  expect(thrown).toMatchObject({
    name: 'AuthError',
    reason: 'INVALID_ARGUMENT',
    violations: [
      { field: 'one', description: 'must be 1' },
      { field: 'three', description: 'must be 3' },
    ],
  });
});

test('another error passes through', () => {
  const error = new TypeError('a defect');
  const parse = () => {
    throw error;
  };
  expect(() => parseFields({ one: parse })).toThrow(error);
});

test('an error holds its details', () => {
  const cause = new Error('a cause');
  const bare = new AuthError('EMAIL_TAKEN');
  expect(bare).toMatchObject({
    message: 'EMAIL_TAKEN',
    violations: [],
    retryAfterMs: undefined,
    requiredRole: undefined,
  });
  expect(bare.violations).toEqual([]);
  const violations = [{ field: 'email', description: 'is required' }];
  const full = new AuthError('PERMISSION_DENIED', { violations, retryAfterMs: 5, requiredRole: 'admin', cause });
  expect(full).toMatchObject({ violations, retryAfterMs: 5, requiredRole: 'admin', cause });
});

test('the reason of an administrator has 1 to 500 printable characters', () => {
  expect(parseReason(' a ticket ')).toBe('a ticket');
  expect(parseReason('x'.repeat(500))).toHaveLength(500);
  expect(() => parseReason('x'.repeat(501))).toThrow('at most 500');
  for (const text of ['', '   ']) expect(() => parseReason(text)).toThrow('is required');
  for (const text of ['a\nb', 'a\u001b[2J', 'a\u202eb', 'a\u2028b', 'a\u2029b', 'a\u0000']) {
    expect(() => parseReason(text)).toThrow(InvalidValue);
  }
  expect(parseLine('')).toBe('');
});
