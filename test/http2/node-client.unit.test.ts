// The engine and the client of node:http2, on a connection in memory.
import http2 from 'node:http2';
import { duplexPair } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { HeaderBlock } from '../../src/http2/hpack/header-block.ts';
import { SETTING } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { end, open, windowUpdate } from './client-frames.ts';
import { Engine, type EngineOptions, hold } from './engine.ts';

function connectNode(options: http2.ClientSessionOptions = {}, engineOptions: EngineOptions = {}) {
  const [near, far] = duplexPair();
  const engine = new Engine(engineOptions);
  engine.server.serve(far, 'context', Number.POSITIVE_INFINITY);
  const session = http2.connect('http://localhost', { ...options, createConnection: () => near });
  const errors: Error[] = [];
  session.on('error', (error) => errors.push(error));
  return {
    engine,
    session,
    errors,
    /** @returns the status, the body and the trailers */
    async request(body: Buffer | null = null) {
      const stream = session.request({ ':path': '/x', ':method': body ? 'POST' : 'GET' }, { endStream: body === null });
      if (body) stream.end(body);
      let [status, trailers] = [0, {}];
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('trailers', (headers) => {
        trailers = { ...headers };
      });
      const chunks = await stream.toArray();
      return { status, body: String(Buffer.concat(chunks)), trailers };
    },
    [Symbol.dispose]() {
      session.destroy();
      near.destroy();
      far.destroy();
    },
  };
}

describe('the client of node:http2', () => {
  test.each([0, 1, 31, 100, 4_095, 4_096, 65_536])('a header table of %i bytes', async (headerTableSize) => {
    using client = connectNode({ settings: { headerTableSize } });
    for (let n = 0; n < 3; n += 1) {
      const { status, body } = await client.request();
      expect([status, body]).toEqual([200, 'GET /x 0']);
    }
    expect(client.errors).toEqual([]);
  });

  test('a header table that changes again and again', async () => {
    using client = connectNode();
    for (const headerTableSize of [100, 0, 65_536, 50, 4_096, 0, 0, 1]) {
      await new Promise<void>((resolve) => client.session.settings({ headerTableSize }, () => resolve()));
      expect(await client.request()).toMatchObject({ status: 200 });
    }
    expect(client.errors).toEqual([]);
  });

  test('bodies and trailers in both directions', async () => {
    using client = connectNode(
      {},
      {
        onRequest: (exchange) => {
          exchange.stream.receive(exchange);
          exchange.onEvent = (event) =>
            event === 'end' && exchange.answer('x'.repeat(exchange.body.length), ['a', 'b']);
        },
      },
    );
    const sizes = [0, 1, 16_384, 65_535, 65_536, 300_000];
    const answers = await Promise.all(sizes.map((size) => client.request(Buffer.alloc(size))));
    expect(answers.map(({ body }) => body.length)).toEqual(sizes);
    for (const { trailers } of answers) expect(trailers).toMatchObject({ a: 'b' });
    expect(client.errors).toEqual([]);
  });
});

describe('a table that the client makes smaller', () => {
  const tableSize = (bytes: number) => f.settings([SETTING.HEADER_TABLE_SIZE, bytes]);
  const firstBytes = (frames: f.Frame[]) =>
    frames.filter(({ type }) => type === f.HEADERS).map(({ payload }) => payload.subarray(0, 2).toString('hex'));

  test('section 4.3.1: the next block after the acknowledgement says that none is used, and later ones do not', async () => {
    const client = await new Engine().connect();
    await client.send(tableSize(0), open(1), end(1), open(3), end(3));
    expect(firstBytes(client.frames())).toEqual(['2088', '88']);
    await client.send(open(5), end(5), tableSize(4_096), tableSize(100), open(7), end(7));
    expect(firstBytes(client.frames())).toEqual(['88', '2088']);
  });

  test('section 4.3.1: a block that leaves before the acknowledgement does not count', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ settings: f.settings([SETTING.INITIAL_WINDOW_SIZE, 0]) });
    await client.send(open(1), open(3));
    engine.exchanges[0]?.answer('a', ['x', 'y']);
    await client.settle();
    client.frames();
    await client.send(f.settings([SETTING.HEADER_TABLE_SIZE, 0], [SETTING.INITIAL_WINDOW_SIZE, 1]));
    // The setting of the window lets the trailers leave, which precede the acknowledgement.
    const frames = client.frames();
    expect(frames.map(({ type }) => type)).toEqual([f.DATA, f.HEADERS, f.SETTINGS]);
    expect(firstBytes(frames)).toEqual(['0001']);
    engine.exchanges[1]?.answer();
    await client.send(windowUpdate(3, 10));
    expect(firstBytes(client.frames())).toEqual(['2088']);
  });

  test('a block that the update makes longer than a frame continues in CONTINUATION', async () => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect({ settings: tableSize(0) });
    await client.send(open(1));
    // One byte of status, seven of integers and the name.
    const head = new HeaderBlock(200, ['x', 'y'.repeat(16_384 - 7)]);
    expect(head.bytes).toHaveLength(16_384);
    engine.last.stream.respond(head, true);
    await client.settle();
    expect(client.frames().map(({ payload }) => payload.length)).toEqual([16_384, 1]);
  });
});
