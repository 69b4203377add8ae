import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/http2/limits.ts';
import { DEFAULT_WINDOW, SETTING } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';
import { data, end, goAway, open, PONG, ping, priority, reset, WHOLE, whole, windowUpdate } from './client-frames.ts';
import { Engine, hold, MAGIC } from './engine.ts';
import { wordsOf } from './frame-words.ts';

describe('the start of a connection', () => {
  const SETTINGS_ACK = http2Frame(f.SETTINGS, f.ACK, 0);

  test('section 3.4: the server sends SETTINGS first, and acknowledges those of the client', async () => {
    const client = new Engine().open();
    await client.settle();
    const [first, ...rest] = client.frames();
    expect(settingsOf(first?.payload)).toEqual({
      [SETTING.MAX_CONCURRENT_STREAMS]: LIMITS.maxStreams,
      [SETTING.INITIAL_WINDOW_SIZE]: LIMITS.streamWindow,
      [SETTING.MAX_HEADER_LIST_SIZE]: LIMITS.maxHeaderListBytes,
      [SETTING.NO_RFC7540_PRIORITIES]: 1,
    });
    expect(wordsOf(rest)).toEqual([`WINDOW_UPDATE 0 +${LIMITS.connectionWindow - DEFAULT_WINDOW}`]);
    expect(await client.exchange(MAGIC, f.settings())).toEqual(['SETTINGS ACK']);
    expect(await client.exchange(SETTINGS_ACK, whole(1))).toEqual(['HEADERS 1 200', 'DATA 1 "GET /x 0" END']);
  });

  test('section 3.4: a preface in any pieces, down to single bytes', async () => {
    const all = Buffer.concat([MAGIC, f.settings([SETTING.ENABLE_PUSH, 0]), SETTINGS_ACK, whole(1), ping()]);
    for (const size of [1, 2, 3, 9, 23, 24, 25, 33]) {
      const client = new Engine().open();
      for (let at = 0; at < all.length; at += size) await client.send(all.subarray(at, at + size));
      expect(client.words().slice(2)).toEqual(['SETTINGS ACK', 'HEADERS 1 200', 'DATA 1 "GET /x 0" END', PONG]);
    }
  });

  test.each([
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['its last byte changed', Buffer.concat([MAGIC.subarray(0, 23), Buffer.from([0x0b])])],
    ['one wrong byte', Buffer.from('Q')],
    ['a frame before SETTINGS', Buffer.concat([MAGIC, ping()])],
    ['HEADERS before SETTINGS', Buffer.concat([MAGIC, whole(1)])],
    ['an acknowledgement in place of SETTINGS', Buffer.concat([MAGIC, SETTINGS_ACK])],
    ['SETTINGS on a stream', Buffer.concat([MAGIC, http2Frame(f.SETTINGS, 0, 1)])],
    ['an unknown frame before SETTINGS', Buffer.concat([MAGIC, http2Frame(0x42, 0, 0)])],
  ])('section 3.4: an invalid preface ends the connection: %s', async (_, bytes) => {
    const client = new Engine().open();
    await client.settle();
    client.words();
    expect(await client.exchange(bytes)).toEqual(['GOAWAY 0 PROTOCOL_ERROR']);
  });

  test('section 6.5.3: further SETTINGS are acknowledged, each one', async () => {
    const client = await new Engine().connect();
    expect(await client.exchange(f.settings(), f.settings([SETTING.MAX_FRAME_SIZE, 20_000]))).toEqual([
      'SETTINGS ACK',
      'SETTINGS ACK',
    ]);
  });
});

describe('frames of the connection', () => {
  const answerTo = async (...bytes: Buffer[]) => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    await client.send(open(1));
    const words = await client.exchange(...bytes);
    return { words, engine, client };
  };
  const FRAME_SIZE = ['GOAWAY 1 FRAME_SIZE_ERROR'];
  const ERRORS: [section: string, name: string, words: string[], bytes: Buffer][] = [
    ['4.2', 'a frame of 16,385 bytes', FRAME_SIZE, f.frameHead(16_385, f.DATA, 1)],
    ['4.2', 'a frame of 16,385 bytes, of an unknown type', FRAME_SIZE, f.frameHead(16_385, 0x42, 0)],
    ['6.4', 'RST_STREAM of three bytes', FRAME_SIZE, http2Frame(f.RESET, 0, 1, Buffer.alloc(3))],
    ['6.4', 'RST_STREAM of five bytes', FRAME_SIZE, http2Frame(f.RESET, 0, 1, Buffer.alloc(5))],
    ['6.5', 'SETTINGS of seven bytes', FRAME_SIZE, http2Frame(f.SETTINGS, 0, 0, Buffer.alloc(7))],
    ['6.5', 'an acknowledgement with settings', FRAME_SIZE, http2Frame(f.SETTINGS, f.ACK, 0, Buffer.alloc(6))],
    ['6.7', 'PING of seven bytes', FRAME_SIZE, http2Frame(f.PING, 0, 0, Buffer.alloc(7))],
    ['6.7', 'PING of nine bytes', FRAME_SIZE, http2Frame(f.PING, 0, 0, Buffer.alloc(9))],
    ['6.8', 'GOAWAY of seven bytes', FRAME_SIZE, http2Frame(f.GOAWAY, 0, 0, Buffer.alloc(7))],
    ['6.9', 'WINDOW_UPDATE of three bytes', FRAME_SIZE, http2Frame(f.WINDOW_UPDATE, 0, 1, Buffer.alloc(3))],
    ['6.9', 'WINDOW_UPDATE of five bytes', FRAME_SIZE, http2Frame(f.WINDOW_UPDATE, 0, 0, Buffer.alloc(5))],
    ['6.1', 'padded DATA without bytes', FRAME_SIZE, http2Frame(f.DATA, f.PADDED, 1)],
    ['6.2', 'HEADERS too short for their priority', FRAME_SIZE, http2Frame(f.HEADERS, 0x24, 3, Buffer.alloc(4))],
    ['7.1 of RFC 9218', 'PRIORITY_UPDATE of three bytes', FRAME_SIZE, http2Frame(16, 0, 0, Buffer.alloc(3))],
    ...(
      [
        ['6.1', 'DATA on stream 0', data(0, 'abc')],
        ['6.1', 'DATA with padding of its whole length', http2Frame(f.DATA, f.PADDED, 1, Buffer.from([3, 0, 0]))],
        ['6.2', 'HEADERS on stream 0', open(0)],
        ['6.2', 'HEADERS with padding of its whole length', http2Frame(f.HEADERS, 0x0c, 3, Buffer.from([1]))],
        ['6.3', 'PRIORITY on stream 0', priority(0)],
        ['6.4', 'RST_STREAM on stream 0', reset(0)],
        ['6.5', 'SETTINGS on a stream', http2Frame(f.SETTINGS, 0, 1)],
        ['6.7', 'PING on a stream', http2Frame(f.PING, 0, 1, Buffer.alloc(8))],
        ['6.8', 'GOAWAY on a stream', http2Frame(f.GOAWAY, 0, 1, Buffer.alloc(8))],
        ['6.9', 'WINDOW_UPDATE of the connection by 0', windowUpdate(0, 0)],
        ['6.10', 'CONTINUATION on stream 0', http2Frame(f.CONTINUATION, f.END_HEADERS, 0)],
        ['7.1 of RFC 9218', 'PRIORITY_UPDATE on a stream', http2Frame(16, 0, 1, f.uint32(1))],
        ['7.1 of RFC 9218', 'PRIORITY_UPDATE of stream 0', http2Frame(16, 0, 0, f.uint32(0))],
        ['6.5.2', 'SETTINGS_ENABLE_PUSH of 2', f.settings([SETTING.ENABLE_PUSH, 2])],
        ['6.5.2', 'SETTINGS_MAX_FRAME_SIZE of 16,383', f.settings([SETTING.MAX_FRAME_SIZE, 16_383])],
        ['6.5.2', 'SETTINGS_MAX_FRAME_SIZE of 2^24', f.settings([SETTING.MAX_FRAME_SIZE, 2 ** 24])],
        ['2.1 of RFC 9218', 'SETTINGS_NO_RFC7540_PRIORITIES of 2', f.settings([SETTING.NO_RFC7540_PRIORITIES, 2])],
        ['5.1.1', 'a stream with an even id', open(2)],
      ] as [string, string, Buffer][]
    ).map(([section, name, bytes]): (typeof ERRORS)[number] => [section, name, ['GOAWAY 1 PROTOCOL_ERROR'], bytes]),
    ['4.3', 'an invalid header block', ['GOAWAY 1 COMPRESSION_ERROR'], f.headers(3, Buffer.from([0x80]), WHOLE)],
    ['4.3', 'invalid trailers', ['GOAWAY 1 COMPRESSION_ERROR'], f.headers(1, Buffer.from([0x80]), WHOLE)],
    [
      '6.5.2',
      'SETTINGS_INITIAL_WINDOW_SIZE of 2^31',
      ['GOAWAY 1 FLOW_CONTROL_ERROR'],
      f.settings([SETTING.INITIAL_WINDOW_SIZE, 2 ** 31]),
    ],
  ];

  test.each(ERRORS)('section %s: %s ends the connection', async (_, __, expected, bytes) => {
    const { words, engine, client } = await answerTo(bytes, ping());
    expect(words).toEqual(expected);
    expect(engine.last.events).toEqual(['close']);
    expect(engine.defects).toEqual([]);
    expect(client.socket.writableEnded).toBe(true);
  });

  test.each([
    ['5.5', 'unknown frames, on any stream and of any flags', [http2Frame(0x42, 0xff, 0), http2Frame(0xff, 0xff, 77)]],
    ['5.5', 'the extensions ALTSVC and ORIGIN', [http2Frame(10, 0, 0, Buffer.alloc(2)), http2Frame(12, 0, 0)]],
    ['6.3', 'PRIORITY of a stream that was never opened', [priority(9), priority(2)]],
    [
      '7.1 of RFC 9218',
      'PRIORITY_UPDATE of any stream',
      [http2Frame(16, 0, 0, f.uint32(1)), http2Frame(16, 0xff, 0, f.uint32(9))],
    ],
    ['6.9', 'the reserved bit of an increment', [http2Frame(f.WINDOW_UPDATE, 0, 0, f.uint32(2 ** 31 + 1))]],
    ['4.1', 'the reserved bit of a stream id', [http2Frame(f.WINDOW_UPDATE, 0, 1, f.uint32(1)).fill(0x80, 5, 6)]],
    [
      '4.1',
      'flags without a meaning',
      [http2Frame(f.RESET, 0xff, 1, f.uint32(8)), http2Frame(f.WINDOW_UPDATE, 0xff, 0, f.uint32(1))],
    ],
    ['6.7', 'an acknowledgement of no PING', [ping('87654321', f.ACK)]],
    ['6.5', 'an acknowledgement of no SETTINGS', [http2Frame(f.SETTINGS, f.ACK, 0)]],
  ])('section %s: %s are ignored', async (_, __, frames) => {
    expect((await answerTo(...frames, ping())).words).toEqual([PONG]);
  });

  test('section 6.5.2: unknown settings are ignored, and those without an effect here', async () => {
    const settings = f.settings([0, 1], [255, 2 ** 32 - 1], [SETTING.MAX_CONCURRENT_STREAMS, 0], [8, 1], [2, 0]);
    expect((await answerTo(settings, ping())).words).toEqual(['SETTINGS ACK', PONG]);
  });

  test('section 6.7: each PING is answered with its bytes', async () => {
    const { words } = await answerTo(ping('abcdefgh'), ping('\0\0\0\0\0\0\0\0'));
    expect(words).toEqual([
      'PING ACK "abcdefgh"',
      'PING ACK "\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000"',
    ]);
  });

  test.each([
    ['PRIORITY of four bytes', 'FRAME_SIZE_ERROR', http2Frame(f.PRIORITY, 0, 1, Buffer.alloc(4))],
    ['a stream that depends on itself', 'PROTOCOL_ERROR', http2Frame(f.PRIORITY, 0, 1, Buffer.from([0, 0, 0, 1, 0]))],
  ])('section 6.3: %s resets the stream', async (_, code, bytes) => {
    const { words, engine } = await answerTo(bytes, ping());
    expect(words).toEqual([`RST_STREAM 1 ${code}`, PONG]);
    expect(engine.last.events).toEqual(['close']);
  });

  test('section 5.4.2: a stream is reset once, also when invalid PRIORITY frames follow each other', async () => {
    const invalid = http2Frame(f.PRIORITY, 0, 1, Buffer.alloc(4));
    const { words } = await answerTo(invalid, invalid, ping());
    expect(words).toEqual(['RST_STREAM 1 FRAME_SIZE_ERROR', PONG]);
  });

  test('section 6.4: no RST_STREAM is sent on an idle stream, so an invalid PRIORITY of it ends the connection', async () => {
    for (const id of [9, 2]) {
      const { words } = await answerTo(http2Frame(f.PRIORITY, 0, id, Buffer.alloc(4)), ping());
      expect(words).toEqual(['GOAWAY 1 FRAME_SIZE_ERROR']);
    }
  });

  test('section 6.8: after GOAWAY of the client, its streams are served to their end', async () => {
    const { words, client, engine } = await answerTo(goAway(), ping());
    expect(words).toEqual([PONG]);
    engine.last.answer('served');
    expect(await client.exchange(end(1, 'rest'))).toEqual([
      'HEADERS 1 200',
      'DATA 1 "served" END',
      // Section 6.8: an endpoint sends GOAWAY before it closes a connection.
      'GOAWAY 1 NO_ERROR',
    ]);
    expect(client.socket.writableEnded).toBe(true);
  });

  test('section 6.8: GOAWAY of a client without streams ends the connection', async () => {
    const client = await new Engine().connect();
    expect(await client.exchange(goAway())).toEqual(['GOAWAY 0 NO_ERROR']);
    expect(client.isClosed || client.socket.writableEnded).toBe(true);
  });
});

/** By id. */
function settingsOf(payload: Buffer = Buffer.alloc(0)): Record<number, number> {
  const entries = Array.from({ length: payload.length / 6 }, (_, n) => [
    payload.readUInt16BE(6 * n),
    payload.readUInt32BE(6 * n + 2),
  ]);
  return Object.fromEntries(entries);
}
