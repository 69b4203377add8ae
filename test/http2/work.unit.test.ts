// The work and the memory that one connection can cause: turns of the event loop, and a client that does not read.
import v8 from 'node:v8';
import vm from 'node:vm';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/http2/limits.ts';
import { MAX_31_BITS, SETTING } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { HTTP2_PREFACE } from '../support/raw.ts';
import { data, end, open, PONG, ping, reset, whole, windowUpdate } from './client-frames.ts';
import { type Client, Engine, type Exchange, hold, OK } from './engine.ts';

const ids = (count: number, from = 0) => Array.from({ length: count }, (_, n) => 2 * (n + from) + 1);
const answers = (client: Client) => client.frames().filter(({ type }) => type === f.HEADERS).length;
const answersWith = (body: Buffer) => (exchange: Exchange) => {
  hold(exchange);
  exchange.stream.respond(OK);
  exchange.stream.end(body);
};
/** Windows that nothing here fills. */
const LARGE = Buffer.concat([f.settings([SETTING.INITIAL_WINDOW_SIZE, MAX_31_BITS]), windowUpdate(0, 2 ** 30)]);

describe('writes', () => {
  test('all answers of one read leave in one write', async () => {
    const client = await new Engine().connect();
    const before = client.socket.writes.length;
    await client.send(ping(), ...ids(50).map((id) => whole(id)), f.settings(), ping());
    expect(client.socket.writes.length).toBe(before + 1);
    expect(client.words()).toHaveLength(50 * 2 + 3);
  });

  test('answers that become ready in one turn leave in one write', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    await client.send(...ids(50).map((id) => whole(id)));
    const before = client.socket.writes.length;
    for (const exchange of engine.exchanges) exchange.answer();
    expect(client.socket.writes.length).toBe(before);
    await client.settle();
    expect(client.socket.writes.length).toBe(before + 1);
    expect(answers(client)).toBe(50);
  });

  test('an answer of more than 64 KiB leaves in parts, and each write is at most one frame larger', async () => {
    const engine = new Engine({ onRequest: answersWith(Buffer.alloc(300_000)) });
    const client = await engine.connect({ settings: LARGE });
    await client.send(whole(1));
    const lengths = client.socket.writes.map(({ length }) => length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(64 * 1024 + 16_384 + 9);
    expect(client.frames().at(-1)?.flags).toBe(f.END_STREAM);
  });
});

describe('turns', () => {
  test('a flood of requests ends its turn, and another connection is served between', async () => {
    const engine = new Engine();
    const [flood, other] = [await engine.connect(), await engine.connect()];
    const all = Buffer.concat(ids(2_000).map((id) => whole(id)));
    // In one read.
    flood.socket.push(all);
    expect(engine.exchanges).toHaveLength(LIMITS.maxStreamsPerTurn);
    other.socket.push(whole(1));
    expect(other.words()).toEqual(['HEADERS 1 200', 'DATA 1 "GET /x 0" END']);
    expect(engine.exchanges).toHaveLength(LIMITS.maxStreamsPerTurn + 1);
    await flood.settle();
    expect(answers(flood)).toBe(2_000);
    expect(engine.exchanges.map(({ stream }) => stream.id).filter((id) => id > 1)).toEqual(ids(1_999, 1));
  });

  test('each turn takes as many streams as the limit, and the event loop runs between them', async () => {
    const engine = new Engine({ limits: { maxStreamsPerTurn: 10 } });
    const client = await engine.connect();
    client.socket.push(Buffer.concat(ids(55).map((id) => whole(id))));
    const counts = [engine.exchanges.length];
    while ((counts.at(-1) as number) < 55 && counts.length < 100) {
      await new Promise((resolve) => setImmediate(resolve));
      counts.push(engine.exchanges.length);
    }
    const steps = counts.map((count, n) => count - (counts[n - 1] ?? 0));
    expect(Math.max(...steps)).toBe(10);
  });

  test('frames of any kind end a turn, and are read later in order', async () => {
    const engine = new Engine({ onRequest: hold, limits: { maxFramesPerTurn: 10 } });
    const client = await engine.connect();
    client.socket.push(
      Buffer.concat([open(1), ...Array.from({ length: 95 }, (_, n) => data(1, Buffer.from([n]))), end(1)]),
    );
    expect(engine.last.pieces).toHaveLength(9);
    await client.settle();
    expect([...engine.last.body]).toEqual(Array.from({ length: 95 }, (_, n) => n));
    expect(engine.last.events.at(-1)).toBe('end');
  });

  test('bytes that arrive while a turn waits come after those before them', async () => {
    const engine = new Engine({ limits: { maxStreamsPerTurn: 1 } });
    const client = await engine.connect();
    const all = Buffer.concat(ids(40).map((id) => whole(id)));
    for (let at = 0; at < all.length; at += 61) client.socket.push(all.subarray(at, at + 61));
    await client.settle();
    expect(engine.exchanges.map(({ stream }) => stream.id)).toEqual(ids(40));
  });
});

describe('idle connections', () => {
  const CONNECTIONS = 300;
  /** A read has 64 KiB, and so has the pool of Buffer. */
  const MAX_BYTES = 16 * 1024;
  const BODY = Buffer.alloc(1_000);
  const bufferBytes = () => {
    v8.setFlagsFromString('--expose-gc');
    (vm.runInNewContext('gc') as () => void)();
    return process.memoryUsage().arrayBuffers;
  };

  test.each([
    ['a request and its body', () => [open(1), ...Array.from({ length: 60 }, () => data(1, BODY)), end(1)]],
    ['requests alone', () => ids(90).map((id) => whole(id))],
    ['PINGs alone', () => Array.from({ length: 900 }, () => ping())],
  ])('keep few bytes of what they have read, which was %s', async (_, frames) => {
    const engine = new Engine({ onRequest: (exchange) => exchange.answer() });
    const before = bufferBytes();
    for (let n = 0; n < CONNECTIONS; n += 1) {
      const client = engine.open();
      await client.send(HTTP2_PREFACE, ...frames());
      client.socket.writes.length = 0;
      engine.exchanges.length = 0;
    }
    // V8 frees buffers in a thread of its own, which can be late on a busy machine.
    await vi.waitFor(() => expect(bufferBytes() - before).toBeLessThan(CONNECTIONS * MAX_BYTES), {
      timeout: 10_000,
      interval: 100,
    });
    expect(engine.server.connections()).toBe(CONNECTIONS);
  });
});

describe('a client that does not read', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'setTimeout', 'clearInterval', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('stops the reading of its requests, and when it reads, all are answered', async () => {
    const engine = new Engine({ onRequest: answersWith(Buffer.alloc(1_000)) });
    const client = await engine.connect({ settings: LARGE });
    client.socket.setRead(false);
    for (let n = 0; n < 40; n += 1) await client.send(...ids(50, 50 * n).map((id) => whole(id)));
    // The socket is full after 64 KiB, and one turn may exceed that.
    const served = engine.exchanges.length;
    expect(served).toBeLessThan(65 + LIMITS.maxStreamsPerTurn);
    // The bytes wait in the socket, which has stopped reading.
    expect(client.socket.readableLength).toBeGreaterThan(0);
    expect(client.socket.isPaused()).toBe(true);
    await vi.advanceTimersByTimeAsync(LIMITS.maxBlockedMs / 2);
    expect(engine.exchanges).toHaveLength(served);
    client.socket.setRead(true);
    await client.settle();
    expect(answers(client)).toBe(2_000);
  });

  test('makes the responses wait, which take no memory of the socket', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ settings: LARGE });
    await client.send(...ids(100).map((id) => whole(id)));
    client.socket.setRead(false);
    for (const { stream } of engine.exchanges) {
      stream.respond(OK);
      stream.write(Buffer.alloc(100_000));
    }
    await client.settle();
    expect(client.socket.writableLength).toBeLessThan(4 * 64 * 1024);
    const blocked = engine.exchanges.filter(({ stream }) => stream.isBlocked);
    expect(blocked.length).toBeGreaterThan(95);
    client.socket.setRead(true);
    await client.settle();
    expect(engine.exchanges.filter(({ stream }) => stream.isBlocked)).toEqual([]);
    for (const { events } of blocked) expect(events).toEqual(['end', 'drain']);
  });

  test('is disconnected after a time', async () => {
    const engine = new Engine({ onRequest: answersWith(Buffer.alloc(1_000)) });
    const client = await engine.connect({ settings: LARGE });
    client.socket.setRead(false);
    await client.send(...ids(200).map((id) => whole(id)));
    await vi.advanceTimersByTimeAsync(LIMITS.maxBlockedMs - 100);
    expect(client.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(300);
    expect(client.isClosed).toBe(true);
  });

  test('is disconnected after a time, also when the response begins later and it sends nothing more', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ settings: LARGE });
    await client.send(whole(1));
    client.socket.setRead(false);
    engine.last.stream.respond(OK);
    engine.last.stream.write(Buffer.alloc(500_000));
    await client.settle();
    await vi.advanceTimersByTimeAsync(LIMITS.maxBlockedMs + 200);
    expect(client.isClosed).toBe(true);
    expect(engine.last.events).toEqual(['end', 'close']);
  });

  test('stays connected while it reads slowly, however long a response takes', async () => {
    const engine = new Engine({ onRequest: answersWith(Buffer.alloc(2_000_000)) });
    const client = await engine.connect({ settings: LARGE });
    client.socket.setRead(false);
    await client.send(whole(1));
    for (let n = 0; n < 60; n += 1) {
      await vi.advanceTimersByTimeAsync(LIMITS.maxBlockedMs / 10);
      client.socket.takeOne();
      await client.settle();
    }
    expect(client.isClosed).toBe(false);
    const length = client.frames().reduce((sum, { type, payload }) => sum + (type === f.DATA ? payload.length : 0), 0);
    expect(length).toBe(2_000_000);
  });

  test('gets answers to its PINGs, and can cancel, while a long response is on its way', async () => {
    const engine = new Engine({ onRequest: answersWith(Buffer.alloc(2_000_000)) });
    const client = await engine.connect({ settings: LARGE });
    client.socket.setRead(false);
    await client.send(whole(1));
    await client.send(ping());
    for (let n = 0; n < 8; n += 1) {
      client.socket.takeOne();
      await client.settle();
    }
    expect(client.words()).toContain(PONG);
    await client.send(reset(1));
    for (let n = 0; n < 8; n += 1) {
      client.socket.takeOne();
      await client.settle();
    }
    expect(engine.last.events).toEqual(['end', 'close']);
    expect(client.socket.writableLength).toBe(0);
  });

  test('cannot hold up its own streams by sending further requests', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ settings: LARGE });
    await client.send(whole(1));
    client.socket.setRead(false);
    const [first] = engine.exchanges as [Exchange];
    first.stream.respond(OK);
    first.stream.end(Buffer.alloc(500_000));
    // As many bytes of answers wait as a turn can take.
    let next = 1;
    for (let n = 0; n < 60 && !first.stream.isClosed; n += 1) {
      await client.send(...ids(100, next).map((id) => whole(id)));
      next += 100;
      for (const { stream } of engine.exchanges.slice(1)) {
        stream.respond(OK);
        stream.end(Buffer.alloc(1_000));
      }
      client.socket.takeOne();
      await client.settle();
    }
    expect(first.stream.isClosed).toBe(true);
  });
});
