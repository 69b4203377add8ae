import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canChangeState,
  isFromOwnPage,
  isPageRequest,
  returnTarget,
  soleCookie,
  withoutCookies,
} from '../../src/domain/browser-request.ts';

const ORIGINS = ['https://app.example'];
const header = (headers: Record<string, string>) => (name: string) => headers[name] ?? '';

describe('returnTarget', () => {
  test.each(['/', '/orders', '/orders?id=5&sort=a', '/a/b~c?q=%2F%2Fevil.example', '/?next=//evil.example'])(
    'keeps %s',
    (target) => {
      expect(returnTarget(target)).toBe(target);
    },
  );

  test.each([
    ...['', 'orders', '//evil.example', '/\\evil.example', '\\\\evil.example', '/\t/evil.example', '/\n/evil.example'],
    ...[
      'https://evil.example',
      'javascript:alert(1)',
      ' /x',
      '/x y',
      '/x\r\nset-cookie: a=b',
      '/ä',
      '/\0',
      `/${'a'.repeat(3_000)}`,
    ],
    ...['///evil.example', '/ /evil.example', '\u2028//x', '/\u2028/x'],
  ])('replaces %j', (text) => {
    expect(returnTarget(text)).toBe('/');
  });

  test('never leaves the origin', () => {
    const pieces = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '@',
      ':',
      '\t',
      '\n',
      '%2f',
      'evil.example',
      'https:',
      '?',
      '#',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
        const target = returnTarget(parts.join(''));
        expect(new URL(target, 'https://app.example/session/renew').origin).toBe('https://app.example');
      }),
    );
  });
});

describe('isPageRequest', () => {
  test.each<[boolean, string, Record<string, string>]>([
    [true, 'GET', { 'sec-fetch-mode': 'navigate', accept: 'text/html' }],
    [true, 'GET', { accept: 'text/html,application/xhtml+xml' }],
    [false, 'GET', { 'sec-fetch-mode': 'cors', accept: 'text/html' }],
    [false, 'GET', { 'sec-fetch-mode': 'same-origin' }],
    [false, 'GET', { 'sec-fetch-mode': 'websocket' }],
    [false, 'GET', { accept: 'text/html', 'x-requested-with': 'XMLHttpRequest' }],
    [false, 'GET', { accept: '*/*' }],
    [false, 'POST', { 'sec-fetch-mode': 'navigate' }],
  ])('is %s for %s %o', (expected, method, headers) => {
    expect(isPageRequest(method, header(headers))).toBe(expected);
  });
});

describe('isFromOwnPage', () => {
  test.each<[boolean, Record<string, string>]>([
    [true, { origin: 'https://app.example' }],
    [true, { origin: 'https://app.example', 'sec-fetch-site': 'same-origin' }],
    [true, { origin: 'null', 'sec-fetch-site': 'same-origin' }],
    [true, { 'sec-fetch-site': 'same-origin' }],
    [false, {}],
    [false, { origin: 'null' }],
    [false, { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' }],
    [false, { origin: 'https://app.example.evil.example' }],
    [false, { origin: 'http://app.example' }],
    [false, { origin: 'https://app.example, https://evil.example' }],
    [false, { 'sec-fetch-site': 'same-site' }],
    [false, { 'sec-fetch-site': 'none' }],
  ])('is %s for %o', (expected, headers) => {
    expect(isFromOwnPage(header(headers), ORIGINS)).toBe(expected);
  });
});

test.each<[boolean, string, Record<string, string>]>([
  [false, 'GET', {}],
  [false, 'HEAD', {}],
  [false, 'OPTIONS', {}],
  [true, 'POST', {}],
  [true, 'get', {}],
  [true, 'PROPFIND', {}],
  [true, 'GET', { upgrade: 'websocket' }],
  [true, 'GET', { 'sec-fetch-mode': 'websocket' }],
  // nginx and Traefik leave `upgrade` out of the request to the authorization service.
  [true, 'GET', { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }],
])('canChangeState is %s for %s %o', (expected, method, headers) => {
  expect(canChangeState(method, header(headers))).toBe(expected);
});

describe('cookies', () => {
  test.each<[string, string]>([
    ['s=1', '1'],
    ['a=b; s=1;c=d', '1'],
    ['s=1=2', '1=2'],
    ['s=1; s=2', ''],
    ['s=1; s=1', ''],
    ['xs=1; s', ''],
    ['S=1', ''],
    ['', ''],
  ])('%j contain the value %j', (text, value) => {
    expect(soleCookie(text, 's')).toBe(value);
  });

  test('are removed by name, and no other', () => {
    expect(withoutCookies('a=1; s=x; ss=2; s=y;r=z; b=3', ['s', 'r'])).toBe('a=1; ss=2; b=3');
    expect(withoutCookies('s=x', ['s'])).toBe('');
  });

  test('count as none when there are more than a browser sends', () => {
    const many = (count: number) => `s=1${';a=b'.repeat(count - 1)}`;
    expect([soleCookie(many(1_000), 's'), soleCookie(many(1_001), 's')]).toEqual(['1', '']);
    expect(withoutCookies(many(1_000), ['s']).split('; ')).toHaveLength(999);
    expect(withoutCookies(many(1_001), ['s'])).toBe('');
  });
});

describe('withoutCookies', () => {
  const NAMES = ['__Host-latchkey-session', '__Secure-latchkey-refresh'];

  test.each([
    ['a=b; __Host-latchkey-session=x; c=d', 'a=b; c=d'],
    ['__Host-latchkey-session=x;__Host-latchkey-session=y', ''],
    ['__Host-latchkey-session =x; a="b"', 'a="b"'],
    ['a=b,__Host-latchkey-session=x,c=d', 'a=b,c=d'],
    ['a=b,c; __Secure-latchkey-refresh', 'a=b,c'],
    [
      'x__Host-latchkey-session=1; __Host-latchkey-sessions=2',
      'x__Host-latchkey-session=1; __Host-latchkey-sessions=2',
    ],
  ])('turns %s into %s', (sent, kept) => {
    expect(withoutCookies(sent, NAMES)).toBe(kept);
  });

  test('returns none of the cookies in any order and spelling', () => {
    const pieces = fc.constantFrom(
      '__Host-latchkey-session',
      '=',
      ';',
      ',',
      ' ',
      '\t',
      'a',
      '"',
      'SECRET',
      '__Secure-latchkey-refresh',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), (parts) => {
        expect(withoutCookies(parts.join(''), NAMES)).not.toMatch(
          /(^|[;,])\s*__(Host-latchkey-session|Secure-latchkey-refresh)\s*(=|;|,|$)/,
        );
      }),
    );
  });
});
