// The end of a connection: GOAWAY in two steps (RFC 9113 section 6.8), age, idleness, and clients that do not answer.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/http2/limits.ts';
import { MAX_31_BITS } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';
import { data, end, GET, open, PONG, ping, WHOLE, whole } from './client-frames.ts';
import { type Client, Engine, hold, MAGIC, OK } from './engine.ts';

const FIRST_GOAWAY = [`GOAWAY ${MAX_31_BITS} NO_ERROR`, 'PING "draining"'];
const DRAINED = ping('draining', f.ACK);
/** The precision of time limits, and a little more. */
const SOON_MS = 110;
const answered = (streamId: number) => [`HEADERS ${streamId} 200`, `DATA ${streamId} "GET /x 0" END`];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'setTimeout', 'clearInterval', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

async function wait(client: Client, milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
  await client.settle();
}

describe('drain', () => {
  const drained = async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    await client.send(open(1));
    engine.server.drain();
    await client.settle();
    expect(client.words()).toEqual(FIRST_GOAWAY);
    return { engine, client };
  };

  test('streams that the client sent before it acknowledges the PING are served', async () => {
    const { engine, client } = await drained();
    await client.send(whole(3), whole(5));
    expect(engine.exchanges.map(({ stream }) => stream.id)).toEqual([1, 3, 5]);
    expect(await client.exchange(whole(7), DRAINED, whole(9))).toEqual(['GOAWAY 7 NO_ERROR']);
    expect(engine.exchanges).toHaveLength(4);
    for (const exchange of engine.exchanges) exchange.answer();
    await client.settle();
    expect(client.words()).toEqual([1, 3, 5, 7].flatMap((id) => [`HEADERS ${id} 200`, `DATA ${id} "ok" END`]));
    expect(client.socket.writableEnded).toBe(false);
    expect(await client.exchange(end(1))).toEqual([]);
    expect(client.socket.writableEnded).toBe(true);
  });

  test('streams after the last GOAWAY are ignored, with their bodies, resets and trailers', async () => {
    const { engine, client } = await drained();
    await client.send(DRAINED);
    expect(client.words()).toEqual(['GOAWAY 1 NO_ERROR']);
    const ignored = [open(3), data(3, 'abc'), f.headers(3, [['a', 'b']], WHOLE), open(5), f.headers(5, GET, WHOLE)];
    const updates = [http2Frame(f.WINDOW_UPDATE, 0, 3, f.uint32(1)), http2Frame(f.RESET, 0, 5, f.uint32(8))];
    expect(await client.exchange(...ignored, ...updates, ping())).toEqual([PONG]);
    expect(engine.exchanges).toHaveLength(1);
    engine.last.answer();
    expect(await client.exchange(end(1))).toEqual(['HEADERS 1 200', 'DATA 1 "ok" END']);
  });

  test('section 4.3: ignored streams change the header table all the same', async () => {
    const { engine, client } = await drained();
    await client.send(DRAINED);
    await client.send(f.headers(3, Buffer.concat([f.fields(...GET), f.remembered(['x', 'y'])]), WHOLE));
    // The newest field of the table.
    await client.send(f.headers(1, Buffer.from([0xbe]), WHOLE));
    expect(client.words()).toEqual(['GOAWAY 1 NO_ERROR']);
    expect(engine.last.events).toEqual(['end']);
  });

  test('an invalid header block on an ignored stream ends the connection', async () => {
    const { client } = await drained();
    await client.send(DRAINED);
    client.words();
    expect(await client.exchange(f.headers(3, Buffer.from([0x80]), WHOLE))).toEqual(['GOAWAY 1 COMPRESSION_ERROR']);
  });

  test('a client that does not acknowledge the PING has a second', async () => {
    const { client } = await drained();
    await wait(client, LIMITS.lastStreamsMs - SOON_MS);
    await client.send(whole(3));
    expect(client.words()).toEqual([]);
    await wait(client, 2 * SOON_MS);
    expect(client.words()).toEqual(['GOAWAY 3 NO_ERROR']);
    await wait(client, 60_000);
    expect(client.isClosed).toBe(false);
  });

  test('a connection without streams ends when the client acknowledges, or after the second', async () => {
    const engine = new Engine();
    const [quick, slow] = [await engine.connect(), await engine.connect()];
    engine.server.drain();
    await quick.send(DRAINED);
    expect(quick.words()).toEqual([...FIRST_GOAWAY, 'GOAWAY 0 NO_ERROR']);
    expect(quick.socket.writableEnded).toBe(true);
    expect(slow.socket.writableEnded).toBe(false);
    await wait(slow, LIMITS.lastStreamsMs + SOON_MS);
    expect(slow.words()).toEqual([...FIRST_GOAWAY, 'GOAWAY 0 NO_ERROR']);
    await wait(slow, LIMITS.lingerMs + SOON_MS);
    expect([quick.isClosed, slow.isClosed, engine.server.connections()]).toEqual([true, true, 0]);
  });

  test('a connection that opens afterwards is drained from its start, and what it sends is served', async () => {
    const engine = new Engine();
    engine.server.drain();
    const client = engine.open();
    await client.send(MAGIC, f.settings(), whole(1));
    expect(client.words()).toEqual([
      ...['SETTINGS', `WINDOW_UPDATE 0 +${LIMITS.connectionWindow - 65_535}`, ...FIRST_GOAWAY],
      ...['SETTINGS ACK', ...answered(1)],
    ]);
    expect(await client.exchange(DRAINED)).toEqual(['GOAWAY 1 NO_ERROR']);
  });

  test('to drain twice changes nothing', async () => {
    const { engine, client } = await drained();
    engine.server.drain();
    expect(await client.exchange(DRAINED, DRAINED)).toEqual(['GOAWAY 1 NO_ERROR']);
    engine.server.drain();
    await client.settle();
    expect(client.words()).toEqual([]);
  });

  test('an acknowledgement of a PING that the server has not sent does not end a connection', async () => {
    const client = await new Engine().connect();
    expect(await client.exchange(DRAINED, whole(1))).toEqual(answered(1));
  });
});

describe('time limits of a connection', () => {
  test('its age: drained, and cut off after the grace period', async () => {
    const engine = new Engine({ onRequest: hold, graceMs: 5_000 });
    const client = await engine.connect({ maxAgeMs: 10_000 });
    await client.send(open(1));
    await wait(client, 10_000 - SOON_MS);
    expect(client.words()).toEqual([]);
    await wait(client, 2 * SOON_MS);
    expect(client.words()).toEqual(FIRST_GOAWAY);
    await client.send(DRAINED);
    await wait(client, 5_000 - 3 * SOON_MS);
    expect(client.isClosed).toBe(false);
    await wait(client, 4 * SOON_MS);
    expect(client.isClosed).toBe(true);
    expect(engine.last.events).toEqual(['close']);
  });

  test('without a request for some time it is drained, also when it carries other frames', async () => {
    const client = await new Engine({ idleMs: 5_000 }).connect();
    for (let n = 0; n < 4; n += 1) {
      await wait(client, 1_000);
      expect(await client.exchange(ping())).toEqual([PONG]);
    }
    await wait(client, 1_000 + SOON_MS);
    expect(client.words()).toEqual(FIRST_GOAWAY);
    expect(await client.exchange(DRAINED)).toEqual(['GOAWAY 0 NO_ERROR']);
    expect(client.socket.writableEnded).toBe(true);
  });

  test('a request starts the time anew when it begins and when it ends', async () => {
    const engine = new Engine({ idleMs: 5_000, onRequest: hold });
    const client = await engine.connect();
    await wait(client, 4_000);
    await client.send(whole(1));
    await wait(client, 20_000);
    expect(client.words()).toEqual([]);
    engine.last.answer();
    await wait(client, 4_500);
    expect(client.words()).toEqual(['HEADERS 1 200', 'DATA 1 "ok" END']);
    await wait(client, 600 + SOON_MS);
    expect(client.words()).toEqual(FIRST_GOAWAY);
  });

  test.each([
    ['sends nothing', []],
    ['sends half a preface', [MAGIC.subarray(0, 12)]],
  ])('section 6.5.3: a client that %s is disconnected with SETTINGS_TIMEOUT', async (_, bytes) => {
    const engine = new Engine({ onRequest: hold });
    const client = engine.open();
    await client.send(...bytes);
    await wait(client, LIMITS.handshakeMs - SOON_MS);
    client.words();
    await wait(client, 2 * SOON_MS);
    expect(client.words()).toEqual([`GOAWAY ${engine.exchanges.length} SETTINGS_TIMEOUT`]);
    await wait(client, LIMITS.lingerMs + SOON_MS);
    expect(client.isClosed).toBe(true);
    expect(engine.server.connections()).toBe(0);
  });

  test('section 6.5.3: the settings bind a client that does not acknowledge them, after the time for the handshake', async () => {
    const engine = new Engine({ onRequest: hold, limits: { maxStreams: 1, maxStreamsUnannounced: 2 } });
    const client = engine.open();
    await client.send(MAGIC, f.settings(), open(1), open(3));
    await wait(client, LIMITS.handshakeMs + SOON_MS);
    client.words();
    await client.send(open(5));
    expect(client.words()).toEqual(['RST_STREAM 5 REFUSED_STREAM']);
    expect(client.isClosed).toBe(false);
  });

  test('a client that does not answer a PING is disconnected, and one that does stays', async () => {
    const engine = new Engine({ onRequest: hold, pingEveryMs: 10_000, pingTimeoutMs: 3_000 });
    const [silent, alive] = [await engine.connect(), await engine.connect()];
    await silent.send(open(1));
    await wait(silent, 10_000 + SOON_MS);
    expect(silent.words()).toEqual(['PING "probing "']);
    await alive.send(ping('probing ', f.ACK));
    await wait(silent, 3_000 - 3 * SOON_MS);
    expect(silent.isClosed).toBe(false);
    await wait(silent, 4 * SOON_MS);
    expect([silent.isClosed, alive.isClosed]).toEqual([true, false]);
    expect(engine.last.events).toEqual(['close']);
  });

  test('a client that answers no PING is disconnected, also when the next PING is due before the time is over', async () => {
    const client = await new Engine({ pingEveryMs: 1_000, pingTimeoutMs: 3_000 }).connect();
    await wait(client, 5_000);
    expect(client.isClosed).toBe(true);
  });

  test('a deadline of a request comes once', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    await client.send(open(1));
    engine.last.stream.deadline = performance.now() + 1_000;
    await wait(client, 1_000 - SOON_MS);
    expect(engine.last.events).toEqual([]);
    await wait(client, 3_000);
    expect(engine.last.events).toEqual(['deadline']);
  });

  test('a defect in onDeadline ends its connection alone', async () => {
    const engine = new Engine({
      onRequest: (exchange) => {
        hold(exchange);
        exchange.onEvent = (event) => {
          if (event === 'deadline') throw new Error('defect');
        };
      },
    });
    const [client, other] = [await engine.connect(), await engine.connect()];
    await client.send(open(1));
    engine.last.stream.deadline = performance.now() + 100;
    await wait(client, 100 + SOON_MS);
    expect(client.words()).toEqual(['GOAWAY 1 INTERNAL_ERROR']);
    expect(engine.defects).toHaveLength(1);
    expect(await other.exchange(ping())).toEqual([PONG]);
  });
});

describe('the end of the socket', () => {
  test('a client that ends its side has disconnected', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    await client.send(open(1));
    client.socket.push(null);
    await client.settle();
    expect(client.isClosed).toBe(true);
    expect(engine.last.events).toEqual(['close']);
    expect(engine.server.connections()).toBe(0);
  });

  test('an error of the socket closes the streams, and no error leaves the engine', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    await client.send(open(1), open(3));
    client.socket.destroy(new Error('ECONNRESET'));
    await client.settle();
    expect(engine.exchanges.map(({ events }) => events)).toEqual([['close'], ['close']]);
    engine.last.answer();
    await client.settle();
    expect([engine.server.connections(), engine.defects]).toEqual([0, []]);
  });

  test('a socket that is closed before the engine receives it is not counted', async () => {
    const engine = new Engine();
    const other = new Engine().open();
    other.socket.destroy();
    await other.settle();
    engine.server.serve(other.socket, 'context', Number.POSITIVE_INFINITY);
    await wait(other, 60_000);
    expect(engine.server.connections()).toBe(0);
  });

  test('after an error, bytes of the client are read and dropped, so that it receives the reason', async () => {
    const client = await new Engine().connect();
    expect(await client.exchange(http2Frame(f.DATA, 0, 0), whole(1))).toEqual(['GOAWAY 0 PROTOCOL_ERROR']);
    for (let n = 0; n < 10; n += 1) expect(await client.exchange(whole(3 + 2 * n))).toEqual([]);
    expect([client.socket.readableLength, client.isClosed]).toEqual([0, false]);
    await wait(client, LIMITS.lingerMs + 1);
    expect(client.isClosed).toBe(true);
  });

  test('a last response reaches a client that reads slowly', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ highWaterMark: 16 * 1024, settings: f.settings([4, 2 ** 20]) });
    await client.send(http2Frame(f.WINDOW_UPDATE, 0, 0, f.uint32(2 ** 20)), whole(1));
    client.socket.setRead(false);
    engine.last.stream.respond(OK);
    engine.last.stream.end(Buffer.alloc(400_000));
    engine.server.drain();
    await client.send(DRAINED);
    for (let n = 0; n < 20 && !client.isClosed; n += 1) {
      await wait(client, 400);
      client.socket.takeOne();
    }
    await wait(client, 400);
    const frames = client.frames();
    const length = frames.filter(({ type }) => type === f.DATA).reduce((sum, { payload }) => sum + payload.length, 0);
    expect(length).toBe(400_000);
    expect(frames.at(-1)?.flags).toBe(f.END_STREAM);
  });

  test('a last response does not keep a connection open whose client has stopped to read', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ highWaterMark: 16 * 1024 });
    await client.send(whole(1));
    client.socket.setRead(false);
    engine.last.stream.respond(OK);
    engine.last.stream.end(Buffer.alloc(60_000));
    engine.server.drain();
    await client.send(DRAINED);
    await wait(client, LIMITS.maxBlockedMs + LIMITS.lastStreamsMs + LIMITS.lingerMs + SOON_MS);
    expect(client.isClosed).toBe(true);
  });
});
