// RFC 9113 sections 5.2, 6.9 and 6.9.2, in both directions.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HeaderBlock } from '../../src/http2/hpack/header-block.ts';
import { LIMITS } from '../../src/http2/limits.ts';
import { DEFAULT_WINDOW, ERROR, MAX_31_BITS, SETTING } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';
import { data, end, open, PONG, ping, reset, whole, windowUpdate } from './client-frames.ts';
import { type Client, Engine, type Exchange, hold, OK } from './engine.ts';
import { wordsOf } from './frame-words.ts';

const initialWindow = (size: number) => f.settings([SETTING.INITIAL_WINDOW_SIZE, size]);
const TRAILERS = new HeaderBlock(null, ['a', 'b']);

describe('windows of the client', () => {
  /** @returns a request for which the client has these windows */
  const request = async (windows: { stream?: number; connection?: number } = {}) => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ settings: initialWindow(windows.stream ?? DEFAULT_WINDOW) });
    const more = (windows.connection ?? DEFAULT_WINDOW) - DEFAULT_WINDOW;
    await client.send(...(more > 0 ? [windowUpdate(0, more)] : []), whole(1));
    const { stream } = engine.last;
    stream.respond(OK);
    await client.settle();
    expect(client.words()).toEqual(['HEADERS 1 200']);
    return { engine, client, stream, exchange: engine.last };
  };
  const lengths = (client: Client, streamId = 1) =>
    client
      .frames()
      .filter((frame) => frame.type === f.DATA && frame.streamId === streamId)
      .map(({ payload }) => payload.length);

  test('section 6.9.2: 65,535 bytes leave before any update, in frames of 16,384', async () => {
    const { client, stream } = await request();
    stream.end(Buffer.alloc(100_000));
    await client.settle();
    expect(lengths(client)).toEqual([16_384, 16_384, 16_384, 16_383]);
    expect(stream.isBlocked).toBe(true);
  });

  test('section 6.9: DATA needs both windows, and an update of either alone sends nothing', async () => {
    for (const [first, second] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const { client, stream } = await request();
      stream.end(Buffer.alloc(65_535 + 10));
      await client.settle();
      client.frames();
      expect(await client.exchange(windowUpdate(first, 10))).toEqual([]);
      expect(await client.exchange(windowUpdate(second, 4))).toEqual(['DATA 1 "\\u0000\\u0000\\u0000\\u0000"']);
      expect(lengths(client)).toEqual([]);
      await client.send(windowUpdate(second, 100));
      const [frame] = client.frames();
      expect([frame?.payload.length, frame?.flags]).toEqual([6, f.END_STREAM]);
    }
  });

  test('section 4.2: frames stay at 16,384 bytes, also when the client allows more', async () => {
    const { client, stream } = await request({ stream: 2 ** 20, connection: 2 ** 20 });
    await client.send(f.settings([SETTING.MAX_FRAME_SIZE, 2 ** 20]));
    client.frames();
    stream.end(Buffer.alloc(40_000));
    await client.settle();
    expect(lengths(client)).toEqual([16_384, 16_384, 7_232]);
  });

  test('section 6.9: a window of one byte sends one byte, and each update of one byte another', async () => {
    const { client, stream } = await request({ stream: 1 });
    stream.end(Buffer.from('abc'), TRAILERS);
    await client.settle();
    expect(client.words()).toEqual(['DATA 1 "a"']);
    expect(await client.exchange(windowUpdate(1, 1))).toEqual(['DATA 1 "b"']);
    expect(await client.exchange(windowUpdate(1, 1))).toEqual(['DATA 1 "c"', 'HEADERS 1 END']);
    expect(stream.isClosed).toBe(true);
  });

  test('section 6.9: HEADERS, trailers and empty DATA need no window', async () => {
    for (const trailers of [null, TRAILERS]) {
      const { client, stream } = await request({ stream: 0 });
      stream.end(null, trailers);
      await client.settle();
      expect(client.words()).toEqual([trailers ? 'HEADERS 1 END' : 'DATA 1 "" END']);
    }
  });

  test('section 6.9.2: a setting makes windows larger, and what waits leaves before the acknowledgement', async () => {
    const { client, stream } = await request({ stream: 0 });
    stream.end(Buffer.from('abcdef'));
    await client.settle();
    expect(client.words()).toEqual([]);
    expect(await client.exchange(initialWindow(4))).toEqual(['DATA 1 "abcd"', 'SETTINGS ACK']);
    expect(await client.exchange(initialWindow(5))).toEqual(['DATA 1 "e"', 'SETTINGS ACK']);
    expect(await client.exchange(initialWindow(6))).toEqual(['DATA 1 "f" END', 'SETTINGS ACK']);
  });

  test('section 6.9.2: a setting can make a window negative, and it must grow above 0 again', async () => {
    const { client, stream } = await request({ stream: 1_000 });
    stream.end(Buffer.alloc(1_005));
    await client.settle();
    expect(lengths(client)).toEqual([1_000]);
    expect(await client.exchange(initialWindow(300))).toEqual(['SETTINGS ACK']);
    expect(await client.exchange(windowUpdate(1, 699))).toEqual([]);
    expect(await client.exchange(windowUpdate(1, 1))).toEqual([]);
    expect(await client.exchange(windowUpdate(1, 1))).toEqual(['DATA 1 "\\u0000"']);
    // New streams begin with the new size.
    await client.send(whole(3));
    expect(await client.exchange(initialWindow(304))).toContain('DATA 1 "\\u0000\\u0000\\u0000\\u0000" END');
  });

  test('section 6.9.2: the setting is for streams, and the window of the connection keeps its size', async () => {
    const { client, stream } = await request({ stream: MAX_31_BITS });
    stream.end(Buffer.alloc(65_536));
    await client.settle();
    expect(lengths(client).reduce((sum, length) => sum + length)).toBe(65_535);
    await client.send(initialWindow(0), initialWindow(MAX_31_BITS));
    expect(lengths(client)).toEqual([]);
  });

  test('section 6.5.3: the last of several values in one frame counts', async () => {
    const { client, stream } = await request({ stream: 0 });
    stream.end(Buffer.from('abc'));
    await client.send(f.settings([SETTING.INITIAL_WINDOW_SIZE, 3], [SETTING.INITIAL_WINDOW_SIZE, 1]));
    expect(client.words()).toEqual(['DATA 1 "a"', 'SETTINGS ACK']);
  });

  test('section 6.9.1: a window above 2^31-1 is an error of the stream or of the connection', async () => {
    const { client, exchange } = await request({ stream: 10 });
    expect(await client.exchange(windowUpdate(1, MAX_31_BITS - 10), ping())).toEqual([PONG]);
    expect(await client.exchange(windowUpdate(1, 1), ping())).toEqual(['RST_STREAM 1 FLOW_CONTROL_ERROR', PONG]);
    expect(exchange.events).toEqual(['end', 'close']);
    const second = await request();
    expect(await second.client.exchange(windowUpdate(0, MAX_31_BITS - DEFAULT_WINDOW), ping())).toEqual([PONG]);
    expect(await second.client.exchange(windowUpdate(0, 1))).toEqual(['GOAWAY 1 FLOW_CONTROL_ERROR']);
  });

  test('section 6.9.2: a setting that brings a window above 2^31-1 is an error of the connection', async () => {
    const { client } = await request({ stream: 10 });
    await client.send(windowUpdate(1, MAX_31_BITS - 20));
    expect(await client.exchange(initialWindow(20))).toEqual(['SETTINGS ACK']);
    expect(await client.exchange(initialWindow(21))).toEqual(['GOAWAY 1 FLOW_CONTROL_ERROR']);
  });

  test('section 6.9: an update by 0 resets the stream', async () => {
    const { client } = await request();
    expect(await client.exchange(windowUpdate(1, 0), ping())).toEqual(['RST_STREAM 1 PROTOCOL_ERROR', PONG]);
  });

  test('a write that must wait returns false, and onDrain follows once', async () => {
    const { client, stream, exchange } = await request({ stream: 5 });
    expect(stream.write(Buffer.from('abcde'))).toBe(true);
    expect(stream.write(Buffer.from('fgh'))).toBe(false);
    expect(stream.write(Buffer.from('ij'))).toBe(false);
    await client.send(windowUpdate(1, 2));
    expect(exchange.events).toEqual(['end']);
    await client.send(windowUpdate(1, 3));
    expect(exchange.events).toEqual(['end', 'drain']);
    expect(client.words()).toEqual(['DATA 1 "abcde"', 'DATA 1 "fg"', 'DATA 1 "h"', 'DATA 1 "ij"']);
    await client.send(windowUpdate(1, 3), windowUpdate(0, 3));
    expect(exchange.events).toEqual(['end', 'drain']);
  });

  test('a stream that is reset sends nothing of what was waiting', async () => {
    for (const how of ['client', 'server', 'window'] as const) {
      const { client, stream } = await request({ stream: 2 });
      stream.write(Buffer.from('abcd'));
      await client.settle();
      client.frames();
      if (how === 'client') await client.send(reset(1));
      if (how === 'server') stream.reset(ERROR.CANCEL);
      if (how === 'window') await client.send(windowUpdate(1, 0));
      stream.write(Buffer.from('efgh'));
      stream.end();
      await client.send(windowUpdate(1, 100), initialWindow(100), windowUpdate(0, 100));
      expect(client.words().filter((word) => word.startsWith('DATA'))).toEqual([]);
    }
  });

  test('section 5.1: a stream that another stream resets, when a window has room again, sends nothing after it', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ settings: initialWindow(MAX_31_BITS) });
    await client.send(whole(1), whole(3), whole(5));
    const [first, second, third] = engine.exchanges as [Exchange, Exchange, Exchange];
    for (const { stream } of [first, second, third]) stream.respond(OK);
    third.stream.write(Buffer.alloc(DEFAULT_WINDOW));
    first.stream.write(Buffer.from('abc'));
    second.stream.write(Buffer.from('def'));
    await client.settle();
    client.frames();
    first.onEvent = (event) => event === 'drain' && second.stream.reset(ERROR.CANCEL);
    expect(await client.exchange(windowUpdate(0, 100))).toEqual(['DATA 1 "abc"', 'RST_STREAM 3 CANCEL']);
    expect(await client.exchange(windowUpdate(0, 100), initialWindow(0))).toEqual(['SETTINGS ACK']);
    expect(engine.defects).toEqual([]);
  });

  test('streams that wait for the connection share it: the one that has sent goes behind the others', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ settings: initialWindow(MAX_31_BITS) });
    await client.send(whole(1), whole(3), whole(5));
    for (const { stream } of engine.exchanges) {
      stream.respond(OK);
      stream.end(Buffer.alloc(100_000));
    }
    await client.settle();
    client.frames();
    const order: number[] = [];
    for (let n = 0; n < 6; n += 1) {
      await client.send(windowUpdate(0, 1_000));
      order.push(...client.frames().map(({ streamId }) => streamId));
    }
    expect(order.slice(0, 3).toSorted()).toEqual([1, 3, 5]);
    expect(order.slice(3)).toEqual(order.slice(0, 3));
  });

  test('any sequence of writes and updates: no byte beyond a window, and none is lost', async () => {
    const action = fc.oneof(
      fc.record({ write: fc.nat(30_000), stream: fc.nat(2) }),
      fc.record({ update: fc.integer({ min: 1, max: 40_000 }), stream: fc.integer({ min: -1, max: 2 }) }),
      fc.record({ initial: fc.nat(60_000) }),
      fc.record({ end: fc.nat(2) }),
    );
    const property = fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 40 }), async (actions) => {
      const engine = new Engine({ onRequest: hold });
      const client = await engine.connect();
      await client.send(whole(1), whole(3), whole(5));
      for (const { stream } of engine.exchanges) stream.respond(OK);
      const windows = [DEFAULT_WINDOW, DEFAULT_WINDOW, DEFAULT_WINDOW];
      const written = [0, 0, 0];
      const received = [0, 0, 0];
      const isEnded = [false, false, false];
      let [connection, initial] = [DEFAULT_WINDOW, DEFAULT_WINDOW];
      const check = () => {
        for (const { type, streamId, payload, flags } of client.frames()) {
          expect([f.HEADERS, f.DATA, f.SETTINGS]).toContain(type);
          if (type !== f.DATA) continue;
          const n = (streamId - 1) / 2;
          expect(payload.length).toBeLessThanOrEqual(Math.max(0, Math.min(windows[n] as number, connection)));
          windows[n] = (windows[n] as number) - payload.length;
          connection -= payload.length;
          received[n] = (received[n] as number) + payload.length;
          if (flags & f.END_STREAM) expect([received[n], isEnded[n]]).toEqual([written[n], true]);
        }
      };
      for (const each of actions) {
        if ('write' in each && !isEnded[each.stream]) {
          engine.exchanges[each.stream]?.stream.write(Buffer.alloc(each.write));
          written[each.stream] = (written[each.stream] as number) + each.write;
        } else if ('end' in each && !isEnded[each.end]) {
          isEnded[each.end] = true;
          engine.exchanges[each.end]?.stream.end();
        } else if ('update' in each) {
          if (each.stream < 0) connection += each.update;
          else windows[each.stream] = (windows[each.stream] as number) + each.update;
          await client.send(windowUpdate(each.stream < 0 ? 0 : 2 * each.stream + 1, each.update));
        } else if ('initial' in each) {
          for (const n of windows.keys()) windows[n] = (windows[n] as number) + each.initial - initial;
          initial = each.initial;
          await client.send(initialWindow(each.initial));
        }
        await client.settle();
        check();
      }
      const room = 2 ** 21;
      for (const n of windows.keys()) windows[n] = (windows[n] as number) + room;
      connection += room;
      await client.send(windowUpdate(0, room), ...[1, 3, 5].map((id) => windowUpdate(id, room)));
      check();
      expect(received).toEqual(written);
      expect(engine.defects).toEqual([]);
    });
    await fc.assert(property, { numRuns: 150 });
  });
});

describe('windows of the server', () => {
  const updates = (client: Client, streamId: number) =>
    client
      .frames()
      .filter((frame) => frame.type === f.WINDOW_UPDATE && frame.streamId === streamId)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
  const paused = (exchange: Exchange) => exchange.stream.receive(exchange, true);
  const FRAME = 16_384;

  test('section 6.9: what was read makes room again, from half of the window on', async () => {
    const engine = new Engine({ onRequest: hold, limits: { streamWindow: 100 } });
    const client = await engine.connect();
    await client.send(open(1));
    expect(await client.exchange(data(1, Buffer.alloc(49)))).toEqual([]);
    expect(await client.exchange(data(1, Buffer.alloc(1)))).toEqual(['WINDOW_UPDATE 1 +50']);
    expect(await client.exchange(data(1, Buffer.alloc(100)))).toEqual(['WINDOW_UPDATE 1 +100']);
  });

  test('section 6.9: a window of one byte carries a body', async () => {
    const engine = new Engine({ limits: { streamWindow: 1 } });
    const client = await engine.connect();
    await client.send(open(1));
    for (let n = 0; n < 20; n += 1) expect(await client.exchange(data(1, 'x'))).toEqual(['WINDOW_UPDATE 1 +1']);
    expect(await client.exchange(end(1))).toEqual(['HEADERS 1 200', 'DATA 1 "GET /x 20" END']);
  });

  test('section 6.9.1: DATA beyond the window of a stream resets it', async () => {
    const engine = new Engine({ onRequest: paused, limits: { streamWindow: 100 } });
    const client = await engine.connect();
    expect(await client.exchange(open(1), data(1, Buffer.alloc(100)), ping())).toEqual([PONG]);
    expect(await client.exchange(data(1, 'x'), ping())).toEqual(['RST_STREAM 1 FLOW_CONTROL_ERROR', PONG]);
    expect(engine.last.events).toEqual(['close']);
  });

  test('section 6.9.1: DATA beyond the window of the connection ends it', async () => {
    const engine = new Engine({ onRequest: paused, limits: { connectionWindow: 5 * FRAME } });
    const client = await engine.connect();
    const all = [1, 3, 5, 7, 9].flatMap((id) => [open(id), data(id, Buffer.alloc(FRAME))]);
    expect(await client.exchange(...all, ping())).toEqual([PONG]);
    expect(await client.exchange(data(1, 'x'))).toEqual(['GOAWAY 9 FLOW_CONTROL_ERROR']);
  });

  test('a paused body gives no room, and gives it when it is read', async () => {
    const engine = new Engine({ onRequest: paused });
    const client = await engine.connect();
    await client.send(open(1), ...Array.from({ length: 3 }, () => data(1, Buffer.alloc(FRAME))));
    expect(client.words()).toEqual([]);
    engine.last.stream.resume();
    await client.settle();
    // The third frame alone is less than half of the window.
    expect(client.words()).toEqual([`WINDOW_UPDATE 1 +${2 * FRAME}`]);
    expect(engine.last.body).toHaveLength(3 * FRAME);
  });

  test('section 6.1: padding counts with its length byte, and makes room at once', async () => {
    const engine = new Engine({ onRequest: paused, limits: { streamWindow: 300 } });
    const client = await engine.connect();
    const padded = http2Frame(f.DATA, f.PADDED, 1, Buffer.concat([Buffer.from([199]), Buffer.alloc(200)]));
    // One byte of a body, and 200 of padding.
    expect(await client.exchange(open(1), padded)).toEqual(['WINDOW_UPDATE 1 +200']);
    engine.last.stream.resume();
    expect(engine.last.body).toHaveLength(1);
  });

  const CONNECTION = { connectionWindow: 4 * FRAME };
  const twoFrames = (streamId: number) => [data(streamId, Buffer.alloc(FRAME)), data(streamId, Buffer.alloc(FRAME))];

  test.each<[string, (engine: Engine, client: Client) => Promise<void>, onRequest: (exchange: Exchange) => void]>([
    [
      'a stream that was reset by the server',
      async (engine, client) => {
        engine.last.stream.reset(ERROR.CANCEL);
        await client.send(...twoFrames(1));
      },
      paused,
    ],
    ['a stream that was reset by the client', async (_, client) => client.send(reset(1), ...twoFrames(1)), paused],
    [
      'a body that is unread when the client resets',
      async (_, client) => client.send(...twoFrames(1), reset(1)),
      paused,
    ],
    [
      'a body that is unread when the server resets',
      async (engine, client) => {
        await client.send(...twoFrames(1));
        engine.last.stream.reset(ERROR.CANCEL);
      },
      paused,
    ],
    [
      'a body that is unread when the response ends',
      async (engine, client) => {
        await client.send(...twoFrames(1));
        engine.last.answer();
      },
      paused,
    ],
    [
      'a body after the response',
      async (engine, client) => {
        engine.last.answer();
        await client.send(...twoFrames(1));
      },
      hold,
    ],
    ['DATA after the end of the request', async (_, client) => client.send(end(1), ...twoFrames(1)), paused],
    [
      'DATA on a stream after the last GOAWAY',
      async (engine, client) => {
        engine.server.drain();
        await client.send(ping('draining', f.ACK), open(9), ...twoFrames(9));
      },
      hold,
    ],
  ])('section 5.2: the connection has room again for %s', async (_, act, onRequest) => {
    const engine = new Engine({ onRequest, limits: CONNECTION });
    const client = await engine.connect();
    await client.send(open(1));
    await act(engine, client);
    await client.settle();
    expect(updates(client, 0)).toBe(2 * FRAME);
  });

  test('a body that was handed back has made its room, and is delivered once', async () => {
    const engine = new Engine({
      limits: { streamWindow: 10 },
      onRequest: (exchange) => {
        exchange.onEvent = () => exchange.stream.handBack(Buffer.from('abc'));
        exchange.stream.receive(exchange);
      },
    });
    const client = await engine.connect();
    await client.send(open(1), data(1, 'abcde'), data(1, 'fghij'));
    const first = engine.last;
    expect(first.events).toEqual(['data 5']);
    expect(client.words()).toEqual(['WINDOW_UPDATE 1 +5']);
    first.onEvent = () => {};
    first.stream.receive(first);
    await client.settle();
    expect(String(Buffer.concat(first.pieces.slice(1)))).toBe('abcfghij');
    expect(client.words()).toEqual(['WINDOW_UPDATE 1 +5']);
  });

  test('any sequence of bodies, pauses and ends: the client always has room again', async () => {
    const limits = { streamWindow: 20_000, connectionWindow: 70_000 };
    const action = fc.record({
      stream: fc.nat(3),
      act: fc.constantFrom('data', 'data', 'data', 'padded', 'pause', 'resume', 'reset', 'answer', 'end'),
      length: fc.nat(6_000),
    });
    const property = fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 50 }), async (actions) => {
      const engine = new Engine({ onRequest: hold, limits: { ...limits, resets: { burst: 1_000, perSecond: 1 } } });
      const client = await engine.connect();
      await client.send(...[1, 3, 5, 7].map((id) => open(id)));
      const windows = [0, 1, 2, 3].map(() => limits.streamWindow);
      const [sent, isOver] = [
        [0, 0, 0, 0],
        [false, false, false, false],
      ];
      let connection = limits.connectionWindow;
      const receive = () => {
        for (const frame of client.frames()) {
          expect(wordsOf([frame]).join()).toMatch(/^(WINDOW_UPDATE|HEADERS|DATA|RST_STREAM \d NO_ERROR)/);
          if (frame.type === f.RESET) isOver[(frame.streamId - 1) / 2] = true;
          if (frame.type !== f.WINDOW_UPDATE) continue;
          const by = frame.payload.readUInt32BE(0);
          if (frame.streamId === 0) connection += by;
          else windows[(frame.streamId - 1) / 2] = (windows[(frame.streamId - 1) / 2] as number) + by;
        }
      };
      for (const { stream: n, act, length } of actions) {
        const { stream } = engine.exchanges[n] as Exchange;
        const id = 2 * n + 1;
        if (act === 'pause') stream.pause();
        if (act === 'resume') stream.resume();
        if (act === 'answer') engine.exchanges[n]?.answer();
        if (!isOver[n] && (act === 'reset' || act === 'end')) {
          isOver[n] = true;
          await client.send(act === 'reset' ? reset(id) : end(id));
        }
        if (!isOver[n] && (act === 'data' || act === 'padded')) {
          const room = Math.min(connection, windows[n] as number, length);
          const isPadded = act === 'padded' && room > 10;
          const payload = Buffer.alloc(Math.max(0, room));
          if (isPadded) payload[0] = Math.min(255, room - 1);
          connection -= payload.length;
          windows[n] = (windows[n] as number) - payload.length;
          sent[n] = (sent[n] as number) + payload.length - (isPadded ? 1 + (payload[0] as number) : 0);
          await client.send(http2Frame(f.DATA, isPadded ? f.PADDED : 0, id, payload));
        }
        await client.settle();
        receive();
      }
      for (const { stream } of engine.exchanges) stream.resume();
      await client.settle();
      receive();
      // Less than half of a window is announced later.
      expect(connection).toBeGreaterThan(limits.connectionWindow / 2);
      expect(connection).toBeLessThanOrEqual(limits.connectionWindow);
      for (const [n, { stream, body }] of engine.exchanges.entries()) {
        if (isOver[n] || stream.isResponseSent) continue;
        expect(windows[n]).toBeGreaterThan(limits.streamWindow / 2);
        expect(body).toHaveLength(sent[n] as number);
      }
      expect(engine.defects).toEqual([]);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  test('the windows that the server announces are those of the limits', () => {
    expect(LIMITS.streamWindow).toBe(DEFAULT_WINDOW);
    expect(LIMITS.connectionWindow).toBeGreaterThan(DEFAULT_WINDOW);
  });
});
