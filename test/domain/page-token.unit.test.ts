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

test('a key of another kind is rejected like any other invalid page token', () => {
  const token = formatPageToken('1; DROP TABLE users', 'query');
  const message = 'must be empty or the next_page_token of the same query';
  expect(() => parsePageToken(token, 'query', parseUuid)).toThrow(message);
});

test('a defect of the parser is not a fault of the token', () => {
  const fail = () => {
    throw new TypeError('defect');
  };
  expect(() => parsePageToken(formatPageToken('x', 'query'), 'query', fail)).toThrow(TypeError);
});

test('a page token has at most 512 characters', () => {
  const tokenOf = (length: number) => formatPageToken('x'.repeat(length), 'query');
  let length = 300;
  while (tokenOf(length).length < 512) length += 1;
  expect(tokenOf(length)).toHaveLength(512);
  expect(parsePageToken(tokenOf(length), 'query', (after) => after)).toHaveLength(length);
  expect(() => parsePageToken(tokenOf(length + 1), 'query', (after) => after)).toThrow(InvalidValue);
});
