import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/http2/limits.ts';
import * as f from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';
import { data, GET, PONG, PRIORITY_FLAG, ping, priority, WHOLE, whole } from './client-frames.ts';
import { Engine, hold } from './engine.ts';

describe('header blocks', () => {
  const block = f.fields(...GET);
  const part = (type: number, flags: number, from: number, to?: number) =>
    http2Frame(type, flags, 1, block.subarray(from, to));

  test('section 6.10: a block in HEADERS and CONTINUATION, cut anywhere', async () => {
    for (let cut = 0; cut <= block.length; cut += 1) {
      const client = await new Engine().connect();
      const frames = [part(f.HEADERS, f.END_STREAM, 0, cut), part(f.CONTINUATION, f.END_HEADERS, cut)];
      expect(await client.exchange(...frames)).toEqual(['HEADERS 1 200', 'DATA 1 "GET /x 0" END']);
    }
  });

  test('section 6.10: END_STREAM of HEADERS counts, and the same bit of CONTINUATION does not', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    await client.send(part(f.HEADERS, 0, 0, 5), part(f.CONTINUATION, f.END_HEADERS | f.END_STREAM, 5));
    expect(engine.last.stream.isRequestComplete).toBe(false);
  });

  test.each([
    ['DATA', data(1, 'abc')],
    ['PING', ping()],
    ['HEADERS of another stream', whole(3)],
    ['HEADERS of the same stream', whole(1)],
    ['CONTINUATION of another stream', http2Frame(f.CONTINUATION, f.END_HEADERS, 3)],
    ['an unknown frame', http2Frame(0x42, 0, 0)],
    ['PRIORITY', priority(1)],
  ])('section 4.3: %s within a block ends the connection', async (_, frame) => {
    const client = await new Engine().connect();
    expect(await client.exchange(part(f.HEADERS, 0, 0, 5), frame)).toEqual(['GOAWAY 0 PROTOCOL_ERROR']);
  });

  test('section 6.2: padding and priority of HEADERS are skipped', async () => {
    const priority = Buffer.from([0x80, 0, 0, 3, 255]);
    for (const padding of [0, 1, 255]) {
      const client = await new Engine().connect();
      const padded = Buffer.concat([Buffer.from([padding]), block, Buffer.alloc(padding, 0xff)]);
      const both = Buffer.concat([Buffer.from([padding]), priority, block, Buffer.alloc(padding, 0xff)]);
      const words = await client.exchange(
        http2Frame(f.HEADERS, WHOLE | f.PADDED, 1, padded),
        http2Frame(f.HEADERS, WHOLE | PRIORITY_FLAG, 3, Buffer.concat([priority, block]).fill(0, 0, 4)),
        http2Frame(f.HEADERS, WHOLE | f.PADDED | PRIORITY_FLAG, 5, both),
      );
      expect(words).toEqual([1, 3, 5].flatMap((id) => [`HEADERS ${id} 200`, `DATA ${id} "GET /x 0" END`]));
    }
  });

  test('section 4.3: the padding of CONTINUATION does not exist', async () => {
    const client = await new Engine().connect();
    const frames = [part(f.HEADERS, f.END_STREAM, 0, 5), part(f.CONTINUATION, f.END_HEADERS | f.PADDED, 5)];
    expect(await client.exchange(...frames)).toEqual(['HEADERS 1 200', 'DATA 1 "GET /x 0" END']);
  });

  test.each<[section: string, name: string, fields: f.Field[]]>([
    ['8.2.1', 'a name in upper case', [...GET, ['X', 'y']]],
    ['8.2.1', 'an empty name', [...GET, ['', 'y']]],
    ['8.2.1', 'a space in a name', [...GET, ['x y', 'z']]],
    ['8.2.1', 'a colon in a name', [...GET, ['x:y', 'z']]],
    ['8.2.1', 'a character of a name beyond ASCII', [...GET, ['x\xe9', 'z']]],
    ['8.2.1', 'NUL in a value', [...GET, ['x', 'a\0b']]],
    ['8.2.1', 'a line feed in a value', [...GET, ['x', 'a\nb']]],
    ['8.2.1', 'a carriage return at the end of a value', [...GET, ['x', 'a\r']]],
    ['8.2.1', 'a line feed at the end of a value', [...GET, ['x', 'a\n']]],
    ['8.2.1', 'a space before a value', [...GET, ['x', ' a']]],
    ['8.2.1', 'a tab after a value', [...GET, ['x', 'a\t']]],
    ['8.2.1', 'a line feed in a pseudo-header', [[':path', '/\n'], ...GET.slice(0, 2)]],
    ['8.2.2', 'connection', [...GET, ['connection', 'close']]],
    ['8.2.2', 'transfer-encoding', [...GET, ['transfer-encoding', 'chunked']]],
    ['8.2.2', 'te with another value than trailers', [...GET.slice(0, 3), ['te', 'gzip']]],
    ['8.3', 'a pseudo-header after others', [...GET, [':scheme', 'http']]],
    ['8.3', 'a pseudo-header twice', [[':method', 'GET'], ...GET]],
    ['8.3', 'a pseudo-header of responses', [[':status', '200'], ...GET]],
    ['8.3', 'an unknown pseudo-header', [[':protocol', 'websocket'], ...GET]],
    ['8.3.1', 'no method', GET.filter(([name]) => name !== ':method')],
    ['8.3.1', 'no scheme', GET.filter(([name]) => name !== ':scheme')],
    ['8.3.1', 'no path', GET.filter(([name]) => name !== ':path')],
    ['8.3.1', 'an empty path', GET.map(([name, value]) => [name, name === ':path' ? '' : value])],
    ['8.3.1', 'a path without a slash', GET.map(([name, value]) => [name, name === ':path' ? 'x' : value])],
    ['8.3.1', '* with GET', GET.map(([name, value]) => [name, name === ':path' ? '*' : value])],
    ['8.5', 'CONNECT with a scheme and a path', [[':method', 'CONNECT'], ...GET.slice(1)]],
    ['8.5', 'CONNECT without an authority', [[':method', 'CONNECT']]],
    ['8.1.1', 'content-length that is no number', [...GET, ['content-length', '1x']]],
    ['8.1.1', 'content-length below 0', [...GET, ['content-length', '-1']]],
    ['8.1.1', 'content-length with a sign', [...GET, ['content-length', '+1']]],
    ['8.1.1', 'two different lengths', [...GET, ['content-length', '0'], ['content-length', '1']]],
    ['8.1.1', 'content-length of a request without a body', [...GET, ['content-length', '1']]],
  ])('section %s: a request is malformed by %s', async (_, __, fields) => {
    const engine = new Engine();
    const client = await engine.connect();
    expect(await client.exchange(whole(1, fields), ping())).toEqual(['RST_STREAM 1 PROTOCOL_ERROR', PONG]);
    expect(engine.exchanges).toEqual([]);
    // The connection serves further requests.
    expect(await client.exchange(whole(3))).toEqual(['HEADERS 3 200', 'DATA 3 "GET /x 0" END']);
  });

  test.each<[section: string, name: string, fields: f.Field[], answer: string]>([
    [
      '8.3.1',
      'OPTIONS *',
      [
        [':method', 'OPTIONS'],
        [':scheme', 'http'],
        [':path', '*'],
      ],
      'OPTIONS * 0',
    ],
    [
      '8.3.1',
      'no authority',
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/x'],
      ],
      'GET /x 0',
    ],
    [
      '8.5',
      'CONNECT with an authority',
      [
        [':method', 'CONNECT'],
        [':authority', 'x:1'],
      ],
      'CONNECT  0',
    ],
    ['8.2.1', 'an empty value', [...GET, ['x', '']], 'GET /x 0'],
    ['8.2.1', 'bytes beyond ASCII in a value', [...GET, ['x', 'a\xff\x80\tb']], 'GET /x 0'],
    ['8.1.1', 'a content-length of 0', [...GET, ['content-length', '0']], 'GET /x 0'],
    [
      '8.6 of RFC 9110',
      'the same length twice',
      [...GET, ['content-length', '0'], ['content-length', '0']],
      'GET /x 0',
    ],
  ])('section %s: a request is valid with %s', async (_, __, fields, answer) => {
    const client = await new Engine().connect();
    const words = await client.exchange(whole(1, fields));
    expect(words).toEqual(['HEADERS 1 200', `DATA 1 "${answer}" END`]);
  });

  test('section 8.2.3: pieces of a cookie are joined, and other values as RFC 9110 section 5.3 says', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    await client.send(f.headers(1, [...GET, ['cookie', 'a=1'], ['x', 'y'], ['cookie', 'b=2'], ['x', 'z']], WHOLE));
    const { headers } = engine.last.stream;
    expect([headers.get('cookie'), headers.get('x'), headers.all('x')]).toEqual(['a=1; b=2', 'y, z', ['y', 'z']]);
  });

  test('a stream that depends on itself is reset (RFC 7540 section 5.3.1)', async () => {
    const client = await new Engine().connect();
    const payload = Buffer.concat([Buffer.from([0, 0, 0, 1, 0]), block]);
    const words = await client.exchange(http2Frame(f.HEADERS, WHOLE | PRIORITY_FLAG, 1, payload), ping());
    expect(words).toEqual(['RST_STREAM 1 PROTOCOL_ERROR', PONG]);
  });

  test('a list beyond the limit is marked, and the connection goes on (section 6.5.2)', async () => {
    const engine = new Engine();
    const client = await engine.connect();
    const rest = f.fields(['x', 'y'.repeat(LIMITS.maxHeaderListBytes - 500)]);
    await client.send(f.headers(1, GET, f.END_STREAM), http2Frame(f.CONTINUATION, f.END_HEADERS, 1, rest));
    expect(engine.last.stream.headers.isTooLarge).toBe(false);
    await client.send(f.headers(3, GET, f.END_STREAM), http2Frame(f.CONTINUATION, 0, 3, rest));
    await client.send(http2Frame(f.CONTINUATION, f.END_HEADERS, 3, f.fields(['x', 'y'.repeat(300)])));
    expect(engine.last.stream.headers.isTooLarge).toBe(true);
    expect(client.words()).toContain('HEADERS 3 200');
  });
});
