import { describe, expect, test } from 'vitest';
import { HeaderBlock } from '../../src/http2/hpack/header-block.ts';
import { httpDate } from '../../src/server/transport/http-date.ts';
import { responseText } from '../../src/server/transport/http1-response-text.ts';

const textOf = (...fields: string[]) => responseText(new HeaderBlock(200, fields), null, 75_000);

test('a response has its headers, those of the connection, and its body', () => {
  const head = new HeaderBlock(401, ['x-name', 'caf\xe9', 'content-length', '2']);
  const text = responseText(head, Buffer.from([0, 255]), 75_999);
  expect(text.replace(httpDate(), 'now')).toBe(
    'HTTP/1.1 401 Unauthorized\r\nx-name: caf\xe9\r\ncontent-length: 2\r\n' +
      'Date: now\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\n\r\n\0\xff',
  );
});

test('a head that serves several responses has the body of each', () => {
  const head = new HeaderBlock(200, ['content-length', '1']);
  for (const body of ['a', 'b'])
    expect(responseText(head, Buffer.from(body), 1_000)).toMatch(new RegExp(`\r\n\r\n${body}$`));
});

describe('a header that could begin another header or response is rejected', () => {
  test.each(['a\r\nx-b: 1', 'a\r\n\r\nHTTP/1.1 200 OK', 'a\nb', 'a\rb', 'a\0b', 'a\x7fb', '\u010d\u010a', '\u0100'])(
    'in its value: %j',
    (value) => {
      expect(() => textOf('location', value)).toThrow(TypeError);
    },
  );

  test.each(['', 'x y', 'x:', 'x\r\ny', 'x\xe9'])('in its name: %j', (name) => {
    expect(() => textOf(name, 'a')).toThrow(TypeError);
  });
});
