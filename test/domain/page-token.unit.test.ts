import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatPageToken, parsePageToken } from '../../src/domain/page-token.ts';
import { InvalidValue } from '../../src/domain/parse-fields.ts';
import { parseUuid } from '../../src/domain/uuid.ts';

test('a page token passes the last key of a page to the same query', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.string(), (id, query) => {
      expect(parsePageToken(formatPageToken(id, query), query, parseUuid)).toBe(id);
    }),
  );
  expect(parsePageToken('', 'query', parseUuid)).toBe('');
});

test('a page token is rejected by another query, in another form, or with a key of another kind', () => {
  const id = '01900000-0000-7000-8000-000000000000';
  const token = formatPageToken(id, 'query');
  const bad = [
    `${token}=`,
    `${token}A`,
    token.slice(1),
    'x',
    'A'.repeat(600),
    formatPageToken('1; DROP TABLE users', 'query'),
  ];
  for (const text of bad) expect(() => parsePageToken(text, 'query', parseUuid), text).toThrow(InvalidValue);
  expect(() => parsePageToken(token, 'another query', parseUuid)).toThrow(InvalidValue);
});
