// Known attacks by their names. Each ends after bounded work, and a well-behaved connection is served beside it.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Allowance, LIMITS } from '../../src/http2/limits.ts';
import { MAX_31_BITS, SETTING } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';
import {
  data,
  end,
  GET,
  goAway,
  open,
  PRIORITY_FLAG,
  ping,
  priority,
  reset,
  WHOLE,
  whole,
  windowUpdate,
} from './client-frames.ts';
import { answerAtEnd, Engine, type EngineOptions, type Exchange, hold, OK } from './engine.ts';

const id = (n: number) => 2 * n + 1;
/** The size of a read of a socket. */
const READ_BYTES = 64 * 1024;
const MAX_READS = 250;
/** So that no answer waits for a window. */
const ROOM = 2 ** 30;
const CALM = 'ENHANCE_YOUR_CALM';

beforeEach(() => {
  // Rates give nothing while the time stands.
  vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'setTimeout', 'clearInterval', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

type Flood = {
  /** The frames of step n, for ever. */
  frames: (n: number) => Buffer[];
  first?: Buffer[];
  onRequest?: (exchange: Exchange) => void;
  options?: EngineOptions;
  /** Added to the client's window of the connection. */
  room?: number;
};

/** Sends until the connection ends. A second client has an answer after each read. */
async function attack({ frames, first = [], onRequest = hold, options = {}, room = ROOM }: Flood) {
  const engine = new Engine({
    ...options,
    onRequest: (exchange) => (exchange.stream.headers.path === '/other' ? answerAtEnd(exchange) : onRequest(exchange)),
  });
  const [client, other] = [await engine.connect(), await engine.connect()];
  client.socket.push(Buffer.concat([windowUpdate(0, room), ...first]));
  await client.settle();
  let [step, sentBytes] = [0, 0];
  for (let reads = 0; reads < MAX_READS && !client.socket.writableEnded; reads += 1) {
    const parts: Buffer[] = [];
    for (let bytes = 0; bytes < READ_BYTES; ) {
      const next = Buffer.concat(frames(step));
      step += 1;
      parts.push(next);
      bytes += next.length;
    }
    sentBytes += parts.reduce((sum, { length }) => sum + length, 0);
    client.socket.push(Buffer.concat(parts));
    // Without waiting for the flood.
    other.socket.push(whole(id(reads), f.request('/other', 'GET')));
    expect(other.words()).toEqual([`HEADERS ${id(reads)} 200`, `DATA ${id(reads)} "GET /other 0" END`]);
    await client.settle();
  }
  const answers = client.frames();
  const last = answers.at(-1);
  expect(engine.defects).toEqual([]);
  return {
    requests: engine.exchanges.filter(({ stream }) => stream.headers.path !== '/other').length,
    answers,
    answerBytes: client.socket.writes.reduce((sum, { length }) => sum + length, 0),
    sentBytes,
    end: last?.type === f.GOAWAY ? CODES[last.payload.readUInt32BE(4)] : 'none',
    open: engine.exchanges.filter(({ stream }) => !stream.isClosed).length,
  };
}
const CODES: Record<number, string> = { 1: 'PROTOCOL_ERROR', 11: CALM };
const resetsOf = (answers: f.Frame[]) => answers.filter(({ type }) => type === f.RESET).length;

describe('floods', () => {
  test('CVE-2023-44487 (rapid reset): streams that the client resets at once', async () => {
    const { end: how, requests, open: left } = await attack({ frames: (n) => [whole(id(n)), reset(id(n))] });
    expect([how, left]).toEqual([CALM, 0]);
    expect(requests).toBeLessThanOrEqual(LIMITS.resets.burst + 1);
  });

  test('CVE-2023-44487: streams that are reset after their answer have been served, so they are no fault', async () => {
    const { end: how, answers } = await attack({ frames: (n) => [whole(id(n)), reset(id(n))], onRequest: answerAtEnd });
    expect(how).toBe('none');
    expect(answers.filter(({ type }) => type === f.HEADERS).length).toBeGreaterThan(10_000);
  }, 120_000);

  const INDUCED: Record<string, (streamId: number) => Buffer[]> = {
    'DATA after the end of the request': (n) => [whole(n), data(n, 'x')],
    'WINDOW_UPDATE by 0': (n) => [whole(n), windowUpdate(n, 0)],
    'WINDOW_UPDATE above 2^31-1': (n) => [whole(n), windowUpdate(n, MAX_31_BITS)],
    'PRIORITY of four bytes': (n) => [whole(n), http2Frame(f.PRIORITY, 0, n, Buffer.alloc(4))],
    'PRIORITY of a stream on itself': (n) => [
      whole(n),
      http2Frame(f.PRIORITY, 0, n, Buffer.concat([f.uint32(n), Buffer.alloc(1)])),
    ],
    'a second HEADERS': (n) => [whole(n), whole(n)],
    'trailers with a pseudo-header': (n) => [open(n), whole(n)],
    'a wrong length': (n) => [open(n, [...GET, ['content-length', '1']]), end(n, 'xx')],
    'more than the window': (n) => [open(n), ...Array.from({ length: 4 }, () => data(n, Buffer.alloc(16_384)))],
  };
  test.each(Object.entries(INDUCED))('CVE-2025-8671 (MadeYouReset): %s', async (_, frames) => {
    const {
      end: how,
      requests,
      answers,
      open: left,
    } = await attack({
      frames: (n) => frames(id(n)),
      onRequest: ({ stream }) => stream.receive(IDLE, true),
    });
    expect([how, left]).toEqual([CALM, 0]);
    expect(requests).toBeLessThanOrEqual(LIMITS.resets.burst + 1);
    expect(resetsOf(answers)).toBeLessThanOrEqual(LIMITS.resets.burst);
  });

  test.each<[string, (streamId: number) => Buffer[]]>([
    ['CVE-2019-9514 (reset flood): invalid requests', (n) => [whole(n, [['X', 'y'], ...GET])]],
    [
      'CVE-2019-9514: requests that depend on themselves',
      (n) => [
        http2Frame(
          f.HEADERS,
          WHOLE | PRIORITY_FLAG,
          n,
          Buffer.concat([f.uint32(n), Buffer.alloc(1), f.fields(...GET)]),
        ),
      ],
    ],
    ['CVE-2019-9516 (0-length headers): empty names', (n) => [whole(n, [...GET, ['', ''], ['', '']])]],
  ])('%s', async (_, frames) => {
    const { end: how, requests, answers } = await attack({ frames: (n) => frames(id(n)) });
    expect([how, requests <= 1]).toEqual([CALM, true]);
    expect(resetsOf(answers)).toBeLessThanOrEqual(LIMITS.resets.burst);
  });

  test('CVE-2019-9514: DATA on streams that have ended', async () => {
    const streams = LIMITS.resets.burst + 1;
    const { end: how, answers } = await attack({
      first: Array.from({ length: streams }, (_, n) => whole(id(n))),
      frames: (n) => [data(id(n % streams), 'x')],
      onRequest: answerAtEnd,
    });
    expect(how).toBe(CALM);
    expect(resetsOf(answers)).toBeLessThanOrEqual(LIMITS.resets.burst);
  });

  test('streams beyond the limit are refused, and too many of them end the connection', async () => {
    const { end: how, requests, answers } = await attack({ frames: (n) => [open(id(n))] });
    expect(how).toBe(CALM);
    expect(requests).toBe(LIMITS.maxStreams);
    expect(resetsOf(answers)).toBe(LIMITS.resets.burst);
  });

  const CONTROL: Record<string, (n: number) => Buffer[]> = {
    'CVE-2019-9512 (ping flood)': () => [ping()],
    'CVE-2019-9512: acknowledgements of no PING': () => [ping('12345678', f.ACK)],
    'CVE-2019-9513 (resource loop): PRIORITY of one stream': (n) => [
      http2Frame(f.PRIORITY, 0, 1, Buffer.concat([f.uint32(2 * n + 3), Buffer.alloc(1)])),
    ],
    'CVE-2019-9513: PRIORITY of streams that do not exist': (n) => [priority(id(n))],
    PRIORITY_UPDATE: (n) => [http2Frame(16, 0, 0, f.uint32(id(n)))],
    'CVE-2019-9515 (settings flood)': () => [f.settings()],
    'CVE-2019-9515: SETTINGS of many settings': () => [
      f.settings(...Array.from({ length: 1_000 }, (): [number, number] => [SETTING.INITIAL_WINDOW_SIZE, 1])),
    ],
    'CVE-2019-9515: acknowledgements of no SETTINGS': () => [http2Frame(f.SETTINGS, f.ACK, 0)],
    'CVE-2019-9518 (empty frames): DATA': () => [data(1, '')],
    'CVE-2019-9518: DATA with nothing but padding': () => [http2Frame(f.DATA, f.PADDED, 1, Buffer.from([2, 0, 0]))],
    'WINDOW_UPDATE of the connection': () => [windowUpdate(0, 1)],
    'WINDOW_UPDATE of a stream': () => [windowUpdate(1, 1)],
    'RST_STREAM of a stream that has ended': (n) => [...(n === 0 ? [whole(3), reset(3)] : []), reset(3)],
    'frames of an unknown type': () => [http2Frame(0x42, 0, 0)],
    GOAWAY: () => [goAway()],
  };
  test.each(Object.entries(CONTROL))('%s', async (_, frames) => {
    const { end: how, answers, requests } = await attack({ first: [open(1)], frames });
    expect(how).toBe(CALM);
    expect(requests).toBeLessThanOrEqual(2);
    // Each frame has one answer at most, and the last one ends the connection.
    expect(answers.length).toBeLessThanOrEqual(LIMITS.controlFrames.burst + 1);
  });

  test.each<[string, Buffer, Buffer]>([
    [
      'CVE-2024-27316 (CONTINUATION flood)',
      f.headers(1, GET, f.END_STREAM),
      http2Frame(f.CONTINUATION, 0, 1, f.fields(['x', 'y'.repeat(1_000)])),
    ],
    [
      'CVE-2024-27316: frames of 16 KiB',
      f.headers(1, GET, f.END_STREAM),
      http2Frame(f.CONTINUATION, 0, 1, Buffer.alloc(16_384, 0xbe)),
    ],
    ['CVE-2019-9518: empty CONTINUATION', f.headers(1, GET, f.END_STREAM), http2Frame(f.CONTINUATION, 0, 1)],
  ])('%s', async (_, first, next) => {
    const { end: how, requests, sentBytes } = await attack({ first: [first], frames: () => [next] });
    expect([how, requests]).toEqual([CALM, 0]);
    expect(sentBytes).toBeLessThanOrEqual(2 * (LIMITS.maxHeaderBlockBytes + READ_BYTES));
  });

  test('CVE-2019-9511 (data dribble): a large response through windows of one byte', async () => {
    const { end: how, answers } = await attack({
      first: [f.settings([SETTING.INITIAL_WINDOW_SIZE, 1]), whole(1)],
      frames: () => [windowUpdate(1, 1)],
      onRequest: ({ stream }) => {
        stream.respond(OK);
        stream.end(Buffer.alloc(10_000_000));
      },
    });
    expect(how).toBe(CALM);
    expect(answers.filter(({ type }) => type === f.DATA).length).toBeLessThanOrEqual(LIMITS.controlFrames.burst + 1);
  });

  test('many responses that wait for a window of the connection, which grows by single bytes', async () => {
    const { end: how, answers } = await attack({
      first: [
        f.settings([SETTING.INITIAL_WINDOW_SIZE, MAX_31_BITS]),
        ...Array.from({ length: 250 }, (_, n) => whole(id(n))),
      ],
      room: 1,
      frames: () => [windowUpdate(0, 1)],
      onRequest: ({ stream }) => {
        stream.respond(OK);
        stream.end(Buffer.alloc(1_000));
      },
    });
    expect(how).toBe(CALM);
    const bytes = answers.filter(({ type }) => type === f.DATA).reduce((sum, { payload }) => sum + payload.length, 0);
    expect(bytes).toBeLessThanOrEqual(65_536 + LIMITS.controlFrames.burst);
  });

  test('CVE-2019-9517 (internal data buffering): the windows are open, and the client does not read', async () => {
    const engine = new Engine({
      onRequest: ({ stream }) => {
        if (stream.headers.path === '/other') stream.respond(OK, true);
        else {
          stream.respond(OK);
          stream.end(Buffer.alloc(100_000));
        }
      },
    });
    const settings = Buffer.concat([f.settings([SETTING.INITIAL_WINDOW_SIZE, MAX_31_BITS]), windowUpdate(0, 2 ** 30)]);
    const [client, other] = [await engine.connect({ settings }), await engine.connect()];
    client.socket.setRead(false);
    for (let n = 0; n < 250; n += 1) {
      await client.send(whole(id(n)));
      expect(await other.exchange(whole(id(n), f.request('/other', 'GET')))).toEqual([`HEADERS ${id(n)} 200 END`]);
    }
    expect(client.socket.writableLength).toBeLessThan(4 * READ_BYTES);
    expect(engine.exchanges.length).toBeLessThan(260);
    await vi.advanceTimersByTimeAsync(LIMITS.maxBlockedMs + 100);
    expect([client.isClosed, other.isClosed]).toEqual([true, false]);
  });

  test('small pieces of bodies that nothing reads', async () => {
    const { end: how, sentBytes } = await attack({
      first: [open(1), open(3), open(5)],
      frames: (n) => [data(id(n % 3), 'x')],
      onRequest: ({ stream }) => stream.receive(IDLE, true),
    });
    expect(how).toBe(CALM);
    expect(sentBytes).toBeLessThanOrEqual(2 * READ_BYTES);
  });

  test('an HPACK bomb: a long field that each byte names again', async () => {
    const field = f.remembered(['x', 'y'.repeat(3_900)]);
    const {
      end: how,
      requests,
      answers,
    } = await attack({
      first: [f.headers(1, Buffer.concat([f.fields(...GET), field]), WHOLE)],
      // 62 MB of headers each.
      frames: (n) => [f.headers(id(n + 1), Buffer.concat([f.fields(...GET), Buffer.alloc(16_000, 0xbe)]), WHOLE)],
      onRequest: (exchange) => {
        const { fields } = exchange.stream.headers;
        const kept = fields.reduce((sum, { size }) => sum + size, 0);
        expect(kept).toBeLessThanOrEqual(LIMITS.maxHeaderListBytes);
        expect(fields.length).toBeLessThanOrEqual(LIMITS.maxHeaderFields);
        if (exchange.stream.id > 1) expect(exchange.stream.headers.isTooLarge).toBe(true);
        exchange.stream.respond(OK, true);
      },
    });
    // They are requests, which the code above rejects with 431.
    expect(how).toBe('none');
    expect(answers.filter(({ type }) => type === f.HEADERS)).toHaveLength(requests);
  }, 120_000);

  test('churn of the table: each block empties it, fills it and names its fields', async () => {
    const filled = Array.from({ length: 90 }, (_, n) => f.remembered([`x${n % 7}`, 'y'.repeat(n % 9)]));
    const block = Buffer.concat([f.integer(0, 5, 0x20), f.integer(4_096, 5, 0x20), f.fields(...GET), ...filled]);
    const {
      end: how,
      requests,
      answers,
    } = await attack({
      frames: (n) => [f.headers(id(n), block, WHOLE)],
      onRequest: answerAtEnd,
    });
    // Each is a valid request (RFC 7541 section 4.2).
    expect(how).toBe('none');
    expect(answers.filter(({ type }) => type === f.HEADERS)).toHaveLength(requests);
  }, 120_000);
});

const IDLE = { onData() {}, onEnd() {}, onDrain() {}, onDeadline() {}, onClose() {} };

describe('a rate', () => {
  const taken = (allowance: Allowance, nowMs: number) => {
    let count = 0;
    while (allowance.take(nowMs) && count < 10_000) count += 1;
    return count;
  };

  test('allows its burst at any time, and no more than it gains afterwards', () => {
    const allowance = new Allowance({ burst: 100, perSecond: 10 });
    expect(taken(allowance, 1_000_000)).toBe(100);
    expect(taken(allowance, 1_000_000)).toBe(0);
    expect(taken(allowance, 1_000_500)).toBe(5);
    expect(taken(allowance, 1_000_999)).toBe(4);
    expect(taken(allowance, 2_000_000)).toBe(100);
  });

  test('holds at most its burst, however long nothing was taken', () => {
    const allowance = new Allowance({ burst: 100, perSecond: 10 });
    for (let n = 0; n < 50; n += 1) allowance.take(0);
    expect(taken(allowance, 1_000_000)).toBe(100);
    allowance.giveBack(1_000);
    expect(taken(allowance, 1_000_000)).toBe(100);
  });
});
