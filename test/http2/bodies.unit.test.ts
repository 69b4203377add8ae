// Requests with a body: delivery, length, trailers, and the rest of a body after the response (RFC 9113 section 8.1).
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { HeaderBlock } from '../../src/http2/hpack/header-block.ts';
import { LIMITS } from '../../src/http2/limits.ts';
import { ERROR } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';
import { data, end, GET, open, PONG, ping, reset, WHOLE } from './client-frames.ts';
import { Engine, type Exchange, hold, OK } from './engine.ts';

const trailers = (streamId: number, ...fields: f.Field[]) => f.headers(streamId, fields, WHOLE);
const post = (length: number | string): f.Field[] => [...GET, ['content-length', String(length)]];
/** Receives without an effect. */
const NOTHING = { onData() {}, onEnd() {}, onDrain() {}, onDeadline() {}, onClose() {} };
const connect = async (onRequest: (exchange: Exchange) => void = hold, limits = {}) => {
  const engine = new Engine({ onRequest, limits });
  return { engine, client: await engine.connect() };
};

describe('the delivery of a body', () => {
  test('pieces arrive as the frames that carried them, then the end', async () => {
    const { engine, client } = await connect();
    await client.send(open(1), data(1, 'abc'), data(1, ''), data(1, 'de'), end(1, 'f'));
    expect(engine.last.events).toEqual(['data 3', 'data 2', 'data 1', 'end']);
    expect(String(engine.last.body)).toBe('abcdef');
    expect(engine.last.stream.isRequestComplete).toBe(true);
  });

  test('section 6.1: padding is no part of a body', async () => {
    const { engine, client } = await connect();
    const padded = (bytes: number[], flags = 0) => http2Frame(f.DATA, f.PADDED | flags, 1, Buffer.from(bytes));
    await client.send(open(1), padded([0, 97]), padded([2, 98, 9, 9]), padded([3, 9, 9, 9]), padded([1, 99, 9], 1));
    expect(String(engine.last.body)).toBe('abc');
    expect(engine.last.events.at(-1)).toBe('end');
  });

  test('a frame that arrives in many reads is one piece', async () => {
    const { engine, client } = await connect();
    const all = Buffer.concat([open(1), end(1, 'abcdef')]);
    for (const byte of all) await client.send(Buffer.from([byte]));
    expect(engine.last.events).toEqual(['data 6', 'end']);
  });

  test('a piece that a receiver keeps without a copy is not changed by later frames', async () => {
    const kept: Buffer[] = [];
    const { engine, client } = await connect((exchange) => {
      exchange.stream.receive({ ...NOTHING, onData: (piece) => void kept.push(piece) }, true);
    });
    await client.send(open(1), data(1, 'abc'), data(1, 'def'));
    await client.send(end(1, 'ghi'));
    engine.last.stream.resume();
    expect(String(Buffer.concat(kept))).toBe('abcdefghi');
  });

  test('a paused request delivers nothing, and everything in order when it resumes', async () => {
    const { engine, client } = await connect();
    await client.send(open(1), data(1, 'a'));
    const { stream, events } = engine.last;
    stream.pause();
    await client.send(data(1, 'bc'), data(1, 'def'), end(1));
    expect(events).toEqual(['data 1']);
    expect(stream.isRequestComplete).toBe(true);
    stream.resume();
    expect(events).toEqual(['data 1', 'data 5', 'end']);
    stream.resume();
    expect(events).toHaveLength(3);
  });

  test('a receiver that pauses within a piece gets the next one after it resumes', async () => {
    const { engine, client } = await connect((exchange) => {
      exchange.onEvent = () => exchange.stream.pause();
      exchange.stream.receive(exchange);
    });
    await client.send(
      open(1),
      ...[1_000, 2_000].map((length) => data(1, Buffer.alloc(length))),
      end(1, Buffer.alloc(3_000)),
    );
    const { stream, events } = engine.last;
    expect(events).toEqual(['data 1000']);
    stream.resume();
    expect(events).toEqual(['data 1000', 'data 2000']);
    stream.resume();
    expect(events).toEqual(['data 1000', 'data 2000', 'data 3000']);
    stream.resume();
    expect(events).toEqual(['data 1000', 'data 2000', 'data 3000', 'end']);
  });

  test('small pieces that wait become large ones, because each costs memory', async () => {
    const { engine, client } = await connect((exchange) => exchange.stream.receive(exchange, true));
    const bytes = Array.from({ length: 1_000 }, (_, n) => n % 256);
    await client.send(open(1), ...bytes.map((byte) => data(1, Buffer.from([byte]))));
    await client.send(end(1, Buffer.alloc(2_000, 1)));
    engine.last.stream.resume();
    expect(engine.last.events).toEqual(['data 1000', 'data 2000', 'end']);
    expect([...engine.last.body.subarray(0, 1_000)]).toEqual(bytes);
    expect(engine.last.body.subarray(1_000)).toEqual(Buffer.alloc(2_000, 1));
  });

  test('a body without a receiver waits for one', async () => {
    const { engine, client } = await connect(() => {});
    await client.send(open(1), data(1, 'abc'), end(1, 'd'));
    hold(engine.last);
    expect(engine.last.events).toEqual(['data 4', 'end']);
  });

  test('a body that was handed back goes to the next receiver, from its first byte', async () => {
    for (const isEarly of [true, false]) {
      const { engine, client } = await connect();
      await client.send(open(1), data(1, 'abc'));
      const { stream } = engine.last;
      stream.handBack(Buffer.from('abc'));
      const got: string[] = [];
      const next = {
        ...NOTHING,
        onData: (piece: Buffer) => void got.push(String(piece)),
        onEnd: () => void got.push('end'),
      };
      if (isEarly) stream.receive(next);
      await client.send(end(1, 'def'));
      expect(got).toEqual(isEarly ? ['abc', 'def', 'end'] : []);
      if (!isEarly) stream.receive(next);
      expect(got).toEqual(['abc', 'def', 'end']);
      expect(engine.last.events).toEqual(['data 3']);
    }
  });

  test('the end is delivered again to the next receiver', async () => {
    const { engine, client } = await connect();
    await client.send(open(1), end(1));
    expect(engine.last.events).toEqual(['end']);
    engine.last.stream.handBack(null);
    engine.last.stream.receive(engine.last);
    expect(engine.last.events).toEqual(['end', 'end']);
  });

  test('any sequence of pieces, pauses and hand-backs delivers each byte once and in order', async () => {
    const action = fc.oneof(
      fc.record({ bytes: fc.nat(20) }),
      fc.constantFrom(
        { act: 'pause' },
        { act: 'resume' },
        { act: 'handBack' },
        { act: 'receive' },
        { act: 'receive paused' },
      ),
    );
    const inside = fc.array(fc.constantFrom('', '', 'pause', 'handBack', 'handBack and receive'), { maxLength: 10 });
    const property = fc.asyncProperty(fc.array(action, { maxLength: 30 }), inside, async (actions, reactions) => {
      const { engine, client } = await connect(() => {});
      await client.send(open(1));
      const { stream } = engine.last;
      const sent: Buffer[] = [];
      let [next, ends, got] = [0, 0, Buffer.alloc(0)];
      const receiver = {
        ...NOTHING,
        onData(piece: Buffer) {
          const reaction = reactions.shift();
          if (reaction === 'handBack' || reaction === 'handBack and receive') {
            stream.handBack(Buffer.from(piece));
            if (reaction !== 'handBack') stream.receive(receiver);
            return;
          }
          got = Buffer.concat([got, piece]);
          if (reaction === 'pause') stream.pause();
        },
        onEnd() {
          ends += 1;
        },
      };
      for (const each of actions) {
        if ('bytes' in each) {
          const bytes = Buffer.from(Array.from({ length: each.bytes }, () => next++ % 256));
          sent.push(bytes);
          await client.send(data(1, bytes));
        } else if (each.act === 'pause') stream.pause();
        else if (each.act === 'resume') stream.resume();
        else if (each.act === 'receive') stream.receive(receiver);
        else if (each.act === 'receive paused') stream.receive(receiver, true);
        else if (!hasHandedBack(stream)) stream.handBack(null);
      }
      await client.send(end(1));
      reactions.length = 0;
      stream.receive(receiver);
      stream.resume();
      expect(got).toEqual(Buffer.concat(sent));
      expect(ends).toBe(1);
      expect(engine.defects).toEqual([]);
    });
    /** A receiver hands back what it has, so nothing is handed back twice. */
    const hasHandedBack = (stream: Exchange['stream']) => !stream.isRequestComplete;
    await fc.assert(property, { numRuns: 300 });
  });

  test('trailers end a request, and are not delivered', async () => {
    const { engine, client } = await connect();
    await client.send(open(1), data(1, 'abc'), trailers(1, ['a', 'b']));
    expect(engine.last.events).toEqual(['data 3', 'end']);
  });

  test.each<[section: string, name: string, fields: f.Field[]]>([
    ['8.1', 'a pseudo-header', [[':path', '/x']]],
    ['8.2.1', 'a name in upper case', [['X', 'y']]],
    ['8.2.2', 'transfer-encoding', [['transfer-encoding', 'chunked']]],
  ])('section %s: trailers with %s are malformed', async (_, __, fields) => {
    const { engine, client } = await connect();
    await client.send(open(1));
    expect(await client.exchange(trailers(1, ...fields), ping())).toEqual(['RST_STREAM 1 PROTOCOL_ERROR', PONG]);
    expect(engine.last.events).toEqual(['close']);
  });

  test('more pieces than the limit end the connection, unless the request has no end', async () => {
    const { engine, client } = await connect(hold, { maxBodyPieces: 3 });
    const pieces = (streamId: number, count: number) => Array.from({ length: count }, () => data(streamId, 'x'));
    expect(await client.exchange(open(1), ...pieces(1, 3), ping())).toEqual([PONG]);
    await client.send(open(3));
    engine.last.stream.isEndless = true;
    expect(await client.exchange(...pieces(3, 10), ping())).toEqual([PONG]);
    expect(await client.exchange(...pieces(1, 1))).toEqual(['GOAWAY 3 ENHANCE_YOUR_CALM']);
  });
});

describe('the length of a body (section 8.1.1)', () => {
  test.each([
    ['fits', 3, [data(1, 'ab'), end(1, 'c')], true],
    ['fits, with an empty last frame', 3, [data(1, 'abc'), end(1)], true],
    ['fits, with trailers', 3, [data(1, 'abc'), trailers(1)], true],
    ['fits, with padding', 1, [http2Frame(f.DATA, f.PADDED | 1, 1, Buffer.from([2, 97, 0, 0]))], true],
    ['is 0', 0, [end(1)], true],
    ['is too short', 3, [end(1, 'ab')], false],
    ['is too short, with trailers', 3, [data(1, 'ab'), trailers(1)], false],
    ['is too long at its end', 3, [data(1, 'abc'), end(1, 'd')], false],
    ['is too long before its end', 3, [data(1, 'abcd')], false],
    ['is not 0', 0, [data(1, 'a')], false],
  ])('a body that %s', async (_, length, frames, isValid) => {
    const { engine, client } = await connect();
    await client.send(open(1, post(length)));
    const words = await client.exchange(...frames, ping());
    expect(words).toEqual(isValid ? [PONG] : ['RST_STREAM 1 PROTOCOL_ERROR', PONG]);
    expect(engine.last.events.at(-1)).toBe(isValid ? 'end' : 'close');
  });

  test('it is checked after the response, too', async () => {
    const { engine, client } = await connect();
    await client.send(open(1, post(3)));
    engine.last.answer();
    expect(await client.exchange(end(1, 'ab'), ping())).toContain('RST_STREAM 1 PROTOCOL_ERROR');
  });
});

describe('the rest of a body after the response (section 8.1)', () => {
  test('is read and dropped, and its end closes the stream', async () => {
    const { engine, client } = await connect();
    await client.send(open(1), data(1, 'abc'));
    engine.last.answer();
    await client.settle();
    expect(client.words()).toEqual(['HEADERS 1 200', 'DATA 1 "ok" END']);
    expect(engine.last.stream.isClosed).toBe(false);
    expect(await client.exchange(data(1, 'def'), end(1, 'ghi'), ping())).toEqual([PONG]);
    expect(engine.last.events).toEqual(['data 3', 'close']);
    expect(engine.last.stream.isClosed).toBe(true);
  });

  test('more than the limit resets the stream with NO_ERROR', async () => {
    const { engine, client } = await connect(hold, { maxDiscardedBytes: 100 });
    await client.send(open(1));
    engine.last.answer();
    await client.settle();
    client.words();
    expect(await client.exchange(data(1, Buffer.alloc(100)), ping())).toEqual([PONG]);
    expect(await client.exchange(data(1, 'x'), ping())).toEqual(['RST_STREAM 1 NO_ERROR', PONG]);
    expect(engine.last.events).toEqual(['close']);
    // DATA that was on its way.
    expect(await client.exchange(data(1, 'x'), end(1), ping())).toEqual([PONG]);
  });

  test('a body that takes too long is reset with NO_ERROR', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'setTimeout', 'clearInterval', 'clearTimeout'] });
    try {
      const { engine, client } = await connect();
      await client.send(open(1));
      engine.last.answer();
      await client.settle();
      client.words();
      await vi.advanceTimersByTimeAsync(LIMITS.discardMs - 50);
      expect(await client.exchange(data(1, 'x'))).toEqual([]);
      await vi.advanceTimersByTimeAsync(100);
      await client.settle();
      expect(client.words()).toEqual(['RST_STREAM 1 NO_ERROR']);
      expect(engine.last.events).toEqual(['close']);
    } finally {
      vi.useRealTimers();
    }
  });

  test('a reset of the client after the response is no fault', async () => {
    const { engine, client } = await connect(hold, { resets: { burst: 1, perSecond: 0.001 } });
    for (let id = 1; id < 100; id += 2) {
      await client.send(open(id));
      engine.last.answer();
      await client.send(reset(id, ERROR.NO_ERROR));
    }
    expect(await client.exchange(ping())).toContain(PONG);
  });
});

describe('responses', () => {
  test('headers, body and trailers in any writes', async () => {
    const { engine, client } = await connect();
    await client.send(open(1));
    const { stream } = engine.last;
    stream.respond(new HeaderBlock(404, ['x', 'y']));
    expect(stream.write(Buffer.from('ab'))).toBe(true);
    expect(stream.write(Buffer.alloc(0))).toBe(true);
    stream.end(Buffer.from('c'), new HeaderBlock(null, ['a', 'b']));
    await client.settle();
    expect(client.words()).toEqual(['HEADERS 1 404', 'DATA 1 "ab"', 'DATA 1 "c"', 'HEADERS 1 END']);
    expect([stream.isResponseSent, stream.isClosed]).toEqual([true, false]);
  });

  test('a response without a body ends with its headers', async () => {
    const { engine, client } = await connect();
    await client.send(open(1), end(1));
    engine.last.stream.respond(OK, true);
    await client.settle();
    expect(client.words()).toEqual(['HEADERS 1 200 END']);
    expect(engine.last.stream.isClosed).toBe(true);
    expect(engine.last.events).toEqual(['end', 'close']);
  });

  test('nothing follows the end of a response, and nothing a reset', async () => {
    const { engine, client } = await connect();
    await client.send(open(1), open(3));
    const [first, second] = engine.exchanges as [Exchange, Exchange];
    first.answer();
    second.stream.reset(ERROR.CANCEL);
    for (const { stream } of [first, second]) {
      stream.respond(OK);
      stream.write(Buffer.from('late'));
      stream.end(Buffer.from('late'), new HeaderBlock(null, ['a', 'b']));
    }
    second.stream.reset(ERROR.CANCEL);
    await client.settle();
    expect(client.words()).toEqual(['HEADERS 1 200', 'DATA 1 "ok" END', 'RST_STREAM 3 CANCEL']);
  });

  test('a head that HTTP does not allow throws, and sends nothing', async () => {
    const { engine, client } = await connect();
    await client.send(open(1));
    expect(() => engine.last.stream.respond(new HeaderBlock(200, ['a', 'b\n']))).toThrow(TypeError);
    await client.settle();
    expect(client.words()).toEqual([]);
  });

  test('section 6.2: a head of more than a frame continues in CONTINUATION', async () => {
    const { engine, client } = await connect();
    await client.send(open(1));
    engine.last.stream.respond(new HeaderBlock(200, ['x', 'y'.repeat(40_000)]), true);
    await client.settle();
    const frames = client.frames();
    expect(frames.map(({ type, flags, payload }) => [type, flags, payload.length])).toEqual([
      [f.HEADERS, f.END_STREAM, 16_384],
      [f.CONTINUATION, 0, 16_384],
      [f.CONTINUATION, f.END_HEADERS, 40_008 - 2 * 16_384],
    ]);
  });

  test('a defect of the code above ends the connection with INTERNAL_ERROR (section 5.4.1)', async () => {
    const defect = new Error('defect');
    const fails = (exchange: Exchange, on: string) => {
      exchange.onEvent = (event) => {
        if (event.startsWith(on)) throw defect;
      };
      if (on === 'request') throw defect;
      exchange.stream.receive(exchange);
    };
    for (const on of ['request', 'data', 'end']) {
      const { engine, client } = await connect((exchange) => fails(exchange, on));
      expect(await client.exchange(open(1), end(1, 'x'))).toEqual(['GOAWAY 1 INTERNAL_ERROR']);
      expect(engine.defects).toEqual([defect]);
      if (on !== 'request') expect(engine.last.events.at(-1)).toBe('close');
    }
  });

  test('a defect in onClose is reported, and the other streams are closed', async () => {
    const defect = new Error('defect');
    for (const how of ['connection error', 'disconnect'] as const) {
      const { engine, client } = await connect((exchange) => {
        hold(exchange);
        exchange.onEvent = (event) => {
          if (event === 'close' && exchange.stream.id === 1) throw defect;
        };
      });
      await client.send(open(1), open(3));
      if (how === 'connection error') await client.send(http2Frame(f.DATA, 0, 0));
      else client.socket.destroy();
      await client.settle();
      expect(engine.exchanges.map(({ events }) => events)).toEqual([['close'], ['close']]);
      expect(engine.defects).toEqual([defect]);
      client.socket.destroy();
      await client.settle();
      expect(engine.server.connections()).toBe(0);
    }
  });
});
