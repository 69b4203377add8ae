// Only a request whose end is beyond doubt is plain. Anything else could hide a second request from one of two parsers.
import { describe, expect, test } from 'vitest';
import { endOfHead, type PlainHead, readPlainHead } from '../../src/server/transport/http1-plain-head.ts';
import { Http1Requests } from '../../src/server/transport/http1-requests.ts';

function plainHeadOf(text: string): PlainHead | null {
  const bytes = Buffer.from(text, 'latin1');
  return readPlainHead(bytes, 0, endOfHead(bytes, 0));
}

const headOf = (...lines: string[]) => ['POST /a HTTP/1.1', 'host: x', ...lines, '', ''].join('\r\n');
const startedBy = (line: string) => `${line}\r\nhost: x\r\n\r\n`;
const manyHeaders = (count: number) => headOf(...Array.from({ length: count - 1 }, (_, n) => `x-${n}: ${n}`));

describe('a head is plain with', () => {
  test.each<[string, string, number]>([
    ['a host only', headOf(), 0],
    ['an empty host', 'GET /a HTTP/1.1\r\nhost:\r\n\r\n', 0],
    ['a length', headOf('content-length: 12'), 12],
    ['a length of zero', headOf('content-length: 0'), 0],
    ['a length with zeros before it', headOf('content-length: 0012'), 12],
    ['blanks around the length', headOf('Content-Length: \t 12 \t'), 12],
    ['no blank after the colon', headOf('content-length:12'), 12],
    ['a connection that is kept', headOf('Connection: Keep-Alive'), 0],
    ['an empty connection header', headOf('connection:'), 0],
    ['a header twice', headOf('x-a: 1', 'x-a: 2'), 0],
    ['an empty value', headOf('x-a:'), 0],
    ['a value of blanks', headOf('x-a: \t '), 0],
    ['a tab and bytes above ASCII in a value', headOf('x-a: b\tc \xe9\xff'), 0],
    ['every character of a token in a name', headOf("!#$%&'*+-.^_`|~09azAZ: 1"), 0],
    ['128 headers', manyHeaders(128), 0],
    ['a query', startedBy('GET /a?b=/c&d=%20 HTTP/1.1'), 0],
  ])('%s', (_, text, bodyLength) => {
    expect(plainHeadOf(text)?.bodyLength).toBe(bodyLength);
  });

  test.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('the method %s', (method) => {
    expect(plainHeadOf(startedBy(`${method} /a HTTP/1.1`))?.head.method).toBe(method);
  });

  test('its names in lower case and its values without blanks at their ends', () => {
    const plain = plainHeadOf('GET /a?b HTTP/1.1\r\nHost: x \r\nX-Mixed:\t a: b\t\r\nx-mixed: c\r\n\r\n');
    expect(plain?.head.path).toBe('/a?b');
    expect(plain?.head.fields).toEqual([
      { name: 'host', value: 'x' },
      { name: 'x-mixed', value: 'a: b' },
      { name: 'x-mixed', value: 'c' },
    ]);
  });
});

describe('a head is not plain with', () => {
  test.each<[string, string]>([
    ['a length and a transfer coding', headOf('content-length: 3', 'transfer-encoding: chunked')],
    ['a transfer coding', headOf('transfer-encoding: chunked')],
    ['an empty transfer coding', headOf('Transfer-Encoding:')],
    ['two lengths', headOf('content-length: 3', 'content-length: 4')],
    ['the same length twice', headOf('content-length: 3', 'Content-Length: 3')],
    ['a length with a sign', headOf('content-length: +3')],
    ['a negative length', headOf('content-length: -3')],
    ['a length with a blank inside', headOf('content-length: 1 2')],
    ['a hexadecimal length', headOf('content-length: 0x3')],
    ['a list of lengths', headOf('content-length: 3, 3')],
    ['a length with a fraction', headOf('content-length: 3.0')],
    ['a length with an exponent', headOf('content-length: 1e1')],
    ['an empty length', headOf('content-length:')],
    ['a length of blanks', headOf('content-length: \t ')],
    ['a length above eight digits', headOf('content-length: 123456789')],
    ['a length in other digits', headOf('content-length: \xb2')],
    ['a length after a vertical tab', headOf('content-length: \x0b3')],
    ['a length after a no-break space', headOf('content-length: \xa03')],
    ['a folded line', headOf('x-a: 1', ' 2')],
    ['a folded line with a tab', headOf('x-a: 1', '\tcontent-length: 3')],
    ['a blank before the first header', headOf().replace('host', ' host')],
    ['a bare LF after the request line', 'GET /a HTTP/1.1\nhost: x\r\n\r\n'],
    ['a bare LF after a header', 'GET /a HTTP/1.1\r\nhost: x\ncontent-length: 3\r\n\r\n'],
    ['an empty line that is a bare LF', 'GET /a HTTP/1.1\r\nhost: x\r\n\nGET /b HTTP/1.1\r\n\r\n'],
    ['a bare CR in a value', headOf('x-a: 1\rcontent-length: 3')],
    ['a bare CR at the end of a value', headOf('x-a: 1\r')],
    ['a NUL in a value', headOf('x-a: \0')],
    ['a NUL in a name', headOf('x\0: 1')],
    ['a control character in a value', headOf('x-a: \x07')],
    ['DEL in a value', headOf('x-a: \x7f')],
    ['a space before the colon', headOf('content-length : 3')],
    ['a tab before the colon', headOf('content-length\t: 3')],
    ['a space in a name', headOf('x a: 3')],
    ['an empty name', headOf(': 3')],
    ['a line without a colon', headOf('x-a')],
    ['a name that is not ASCII', headOf('x-\xe9: 3')],
    ['a name in which K is the Kelvin sign of another encoding', headOf('x-\xe2\x84\xaa: 3')],
    ['quotes in a name', headOf('"x": 3')],
    ['no host', 'GET /a HTTP/1.1\r\nx-a: 1\r\n\r\n'],
    ['no header', 'GET /a HTTP/1.1\r\n\r\n'],
    ['two hosts', headOf('host: y')],
    ['connection: close', headOf('connection: close')],
    ['connection: upgrade', headOf('connection: upgrade')],
    ['several connection options', headOf('connection: keep-alive, x-a')],
    ['several connection headers', headOf('connection: keep-alive', 'connection: keep-alive')],
    ['proxy-connection: close', headOf('proxy-connection: close')],
    ['expect', headOf('expect: 100-continue')],
    ['upgrade', headOf('upgrade: websocket')],
    ['upgrade to HTTP/2', headOf('connection: Upgrade, HTTP2-Settings', 'upgrade: h2c', 'http2-settings: AAMAAABk')],
    ['trailer', headOf('trailer: x-a')],
    ['129 headers', manyHeaders(129)],
    ['an empty line before it', `\r\n${headOf()}`],
    ['an empty line that is a bare LF before it', `\n${headOf()}`],
    ['a space before it', ` ${headOf()}`],
  ])('%s', (_, text) => {
    expect(plainHeadOf(text)).toBeNull();
  });

  test.each([
    ...[
      'GET http://x/a HTTP/1.1',
      'GET //x/a  HTTP/1.1',
      'CONNECT x:443 HTTP/1.1',
      'OPTIONS * HTTP/1.1',
      'GET a HTTP/1.1',
    ],
    ...[
      'GET /a HTTP/1.0',
      'GET /a HTTP/1.2',
      'GET /a HTTP/0.9',
      'GET /a HTTP/2.0',
      'GET /a http/1.1',
      'GET /a HTTP/1.1 ',
    ],
    ...['GET /a HTTP/11', 'GET /a ICE/1.0', 'GET /a', 'GET  /a HTTP/1.1', 'GET\t/a HTTP/1.1', 'GET /a\tHTTP/1.1'],
    ...['get /a HTTP/1.1', 'Get /a HTTP/1.1', 'FOO /a HTTP/1.1', 'SETUP /a HTTP/1.1', 'CONNECT /a HTTP/1.1'],
    ...['SOURCE /a HTTP/1.1', 'PRI /a HTTP/1.1', 'G\0T /a HTTP/1.1', 'GET /a b HTTP/1.1', 'GET /\x01 HTTP/1.1'],
    ...['GET /\xe9 HTTP/1.1', 'GET /\x7f HTTP/1.1', 'GET /a\rHTTP/1.1', '', 'HTTP/1.1 200 OK'],
  ])('the request line %j', (line) => {
    expect(plainHeadOf(startedBy(line))).toBeNull();
  });
});

describe('the place of the next request is known', () => {
  const request = headOf('content-length: 4');
  const endsAfter = (...texts: string[]) => {
    const requests = new Http1Requests();
    for (const text of texts) requests.add(Buffer.from(text, 'latin1'));
    return requests.isAtEnd;
  };

  test('before the first byte, and after each whole request', () => {
    expect(endsAfter()).toBe(true);
    expect(endsAfter(`${request}body`)).toBe(true);
    expect(endsAfter(`${request}body${headOf()}${request}body`)).toBe(true);
    expect(endsAfter(request, 'body', headOf())).toBe(true);
  });

  test.each([4, 5, 7, 13])('after pieces of %i bytes, but not within a request', (size) => {
    const text = `${request}\r\n\r\n${headOf()}`;
    const ends = [request.length + 4, text.length];
    const requests = new Http1Requests();
    for (let sent = 0; sent < text.length; ) {
      const nextEnd = ends.find((end) => end > sent) as number;
      const piece = text.slice(sent, Math.min(sent + size, nextEnd));
      requests.add(Buffer.from(piece));
      sent += piece.length;
      expect(requests.isAtEnd, `after ${sent} bytes`).toBe(ends.includes(sent));
    }
  });

  test.each([
    ['a request that is not plain', `${headOf('transfer-encoding: chunked')}0\r\n\r\n`],
    ['an empty line between two requests', `${request}body\r\n`],
    ['a head that is too large', headOf(`x-a: ${'x'.repeat(70_000)}`).slice(0, -2)],
    ['a head in very many pieces', ...headOf()],
  ])('never again after %s', (_, ...texts) => {
    expect(endsAfter(...texts)).toBe(false);
    expect(endsAfter(...texts, headOf(), '\r\n\r\n', headOf())).toBe(false);
  });
});
