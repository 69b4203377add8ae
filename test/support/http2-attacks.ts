// Frames that hostile HTTP/2 clients send, and the responses that the server must give.
import { constants as h2 } from 'node:http2';
import * as f from './frames.ts';
import { envelope, HTTP2_PREFACE, http2Frame } from './raw.ts';

const VERIFY = '/latchkey.auth.v1.AuthService/Verify';
const LOGIN = '/latchkey.auth.v1.AuthService/Login';

/**
 * Whether this is the response that HTTP/2 requires.
 * @param connection alive when the server has answered a PING that was sent last
 */
export type Answer = (frames: f.Frame[], connection: 'closed' | 'alive' | 'unknown') => boolean;

/** A client that is disconnected while it sends may not receive the reason. */
const closes: Answer = (_, connection) => connection === 'closed';
const goaway =
  (code: number): Answer =>
  (frames, connection) =>
    connection === 'closed' &&
    frames.some(({ type, payload }) => type === f.GOAWAY && payload.readUInt32BE(4) === code);
const resets =
  (code: number, streams = 1): Answer =>
  (frames, connection) =>
    connection === 'alive' &&
    frames.filter(({ type, payload }) => type === f.RESET && payload.readUInt32BE(0) === code).length === streams;
const answers =
  (streams: number): Answer =>
  (frames, connection) =>
    connection === 'alive' && frames.filter(({ type }) => type === f.HEADERS).length === streams;
/** Connect answers a call whose message is late with HEADERS and trailers. */
const answersAtLeast =
  (streams: number): Answer =>
  (frames, connection) =>
    connection === 'alive' && frames.filter(({ type }) => type === f.HEADERS).length >= streams;
const goesOn = answers(0);

export type Attack = [name: string, answer: Answer, bytes: Buffer, how?: 'unread' | 'leaves'];

const many = (count: number, make: (n: number) => Buffer | Buffer[]) =>
  Buffer.concat(Array.from({ length: count }, (_, n) => make(n)).flat());
const send = (...bytes: Buffer[]) => Buffer.concat([HTTP2_PREFACE, ...bytes]);
const open = (streamId: number, path = LOGIN) => f.headers(streamId, f.request(path));
const reset = (streamId: number) => http2Frame(f.RESET, 0, streamId, f.uint32(h2.NGHTTP2_CANCEL));
const windowUpdate = (streamId: number, increment: number) =>
  http2Frame(f.WINDOW_UPDATE, 0, streamId, f.uint32(increment));
const whole = f.END_HEADERS | f.END_STREAM;
const nowhere = f.fields(...f.request('/nowhere'));
const block = (...bytes: (Buffer | number[])[]) =>
  f.headers(1, Buffer.concat([nowhere, ...bytes.map((part) => Buffer.from(part))]), whole);
const odd = (...more: f.Field[]) => f.headers(1, [...f.request(LOGIN), ...more]);
const message = envelope(Buffer.from([10, 1, 120]));
const MAX = 2 ** 31 - 1;

/** The fields are in the dynamic table, so that as many as can be fit into one read. */
export function resetsOf(path: string): Buffer {
  const all = f.request(path);
  const first = Buffer.concat(all.map((field) => f.remembered(field)));
  const again = Buffer.from(all.map((_, n) => 0x80 | (61 + all.length - n)));
  return send(many(20_000, (n) => [f.headers(2 * n + 1, n === 0 ? first : again), reset(2 * n + 1)]));
}

export const floods: Attack[] = [
  ['streams of Login reset at once', closes, send(many(20_000, (n) => [open(2 * n + 1), reset(2 * n + 1)]))],
  ['streams of Verify reset at once', closes, send(many(20_000, (n) => [open(2 * n + 1, VERIFY), reset(2 * n + 1)]))],
  [
    'streams that the server has to reset, for trailers it must reject',
    closes,
    send(many(20_000, (n) => [open(2 * n + 1), f.headers(2 * n + 1, [['X', 'y']], whole)])),
  ],
  [
    'calls whose answers are read late',
    // Until then their connection is not read either, so that they wait in the client.
    answersAtLeast(8_000),
    send(many(8_000, (n) => [open(2 * n + 1, VERIFY), http2Frame(f.DATA, f.END_STREAM, 2 * n + 1, message)])),
    'unread',
  ],
  [
    'CONTINUATIONs that go on for ever',
    closes,
    send(
      f.headers(1, nowhere, 0),
      many(1_000, () => http2Frame(f.CONTINUATION, 0, 1, f.fields(['x', 'y'.repeat(4_000)]))),
    ),
  ],
  [
    'empty CONTINUATIONs',
    closes,
    send(
      f.headers(1, nowhere, 0),
      many(100_000, () => http2Frame(f.CONTINUATION, 0, 1)),
    ),
  ],
  ['SETTINGS', closes, send(many(50_000, (n) => f.settings([3, n])))],
  ['SETTINGS whose ACKs are not read', closes, send(many(50_000, (n) => f.settings([3, n]))), 'unread'],
  ['PINGs', closes, send(many(50_000, () => http2Frame(f.PING, 0, 0, Buffer.alloc(8))))],
  [
    'PINGs whose ACKs are not read',
    closes,
    send(many(50_000, () => http2Frame(f.PING, 0, 0, Buffer.alloc(8)))),
    'unread',
  ],
  [
    'empty DATA',
    closes,
    send(
      open(1),
      many(50_000, () => http2Frame(f.DATA, 0, 1)),
    ),
  ],
  [
    'DATA of nothing but padding',
    closes,
    send(
      open(1, VERIFY),
      many(50_000, () => http2Frame(f.DATA, f.PADDED, 1, Buffer.from([3, 0, 0, 0]))),
    ),
  ],
  ['PRIORITY', closes, send(many(50_000, (n) => http2Frame(f.PRIORITY, 0, 2 * n + 1, Buffer.from([0, 0, 0, 0, 1]))))],
  ['frames of a type that does not exist', closes, send(many(50_000, () => http2Frame(200, 0, 0, message)))],
  ['WINDOW_UPDATEs of one byte', closes, send(many(50_000, () => windowUpdate(0, 1)))],
  [
    'an HPACK bomb: a long field named by one byte',
    // 431 for each, and nothing of the list is kept.
    answers(301),
    send(
      f.headers(1, Buffer.concat([nowhere, f.remembered(['x', 'y'.repeat(3_900)])]), whole),
      many(300, (n) => f.headers(2 * n + 3, Buffer.concat([nowhere, Buffer.alloc(8_000, 0xbe)]), whole)),
    ),
  ],
];

export const lingering: Attack[] = [
  ['a hundred streams that do not end', goesOn, send(many(100, (n) => open(2 * n + 1)))],
  [
    'streams beyond those of a cold connection',
    resets(h2.NGHTTP2_REFUSED_STREAM, 150),
    send(many(1_150, (n) => open(2 * n + 1))),
  ],
  [
    'streams beyond those of a warm connection',
    resets(h2.NGHTTP2_REFUSED_STREAM, 150),
    send(
      http2Frame(f.SETTINGS, f.ACK, 0),
      many(400, (n) => open(2 * n + 1)),
    ),
  ],
  ['streams far beyond those', closes, send(many(20_000, (n) => open(2 * n + 1)))],
  [
    'a client without a window requests much',
    answers(90),
    send(
      f.settings([4, 0]),
      many(90, (n) => f.headers(2 * n + 1, f.request('/.well-known/jwks.json', 'GET'), whole)),
    ),
  ],
  ['half a preface', closes, HTTP2_PREFACE.subarray(0, 12), 'leaves'],
];

export const compression: Attack[] = [
  ['the index 0', block([0x80])],
  ['an index beyond the table', block(f.integer(100, 7, 0x80))],
  ['an integer that overflows', block([0xff], Buffer.alloc(12, 0xff), [0x7f])],
  ['Huffman code that ends nowhere', block([0, 0x84, 255, 255, 255, 255, 1, 120])],
  ['a text longer than its frame', block([0, 1, 120, 0x7f, 0xff, 0xff, 0x7f])],
  ['a table larger than allowed', f.headers(1, Buffer.concat([f.integer(2 ** 20, 5, 0x20), nowhere]), whole)],
  ['a table whose size changes among the fields', block(f.integer(0, 5, 0x20))],
].map(([name, bytes]) => [name as string, goaway(h2.NGHTTP2_COMPRESSION_ERROR), send(bytes as Buffer)]);

const [protocol, size, flow] = [h2.NGHTTP2_PROTOCOL_ERROR, h2.NGHTTP2_FRAME_SIZE_ERROR, h2.NGHTTP2_FLOW_CONTROL_ERROR];
export const violations: Attack[] = [
  ['a frame of 16 MB', goaway(size), send(f.frameHead(2 ** 24 - 1, f.DATA, 1))],
  ['a frame one byte over the limit', goaway(size), send(open(1), http2Frame(f.DATA, 0, 1, Buffer.alloc(16_385)))],
  ['a PING of seven bytes', goaway(size), send(http2Frame(f.PING, 0, 0, Buffer.alloc(7)))],
  ['half a setting', goaway(size), send(http2Frame(f.SETTINGS, 0, 0, Buffer.alloc(5)))],
  ['a window of the connection over 2^31-1', goaway(flow), send(windowUpdate(0, MAX), windowUpdate(0, MAX))],
  ['a window of a stream over 2^31-1', resets(flow), send(open(1), windowUpdate(1, MAX), windowUpdate(1, MAX))],
  ['an initial window over 2^31-1', goaway(flow), send(f.settings([4, 2 ** 31]))],
  ['a window of the connection that grows by 0', goaway(protocol), send(windowUpdate(0, 0))],
  ['a window of a stream that grows by 0', resets(protocol), send(open(1), windowUpdate(1, 0))],
  ['DATA on stream 0', goaway(protocol), send(http2Frame(f.DATA, 0, 0, message))],
  ['HEADERS on stream 0', goaway(protocol), send(f.headers(0, nowhere))],
  ['RST_STREAM on stream 0', goaway(protocol), send(reset(0))],
  ['SETTINGS on a stream', goaway(protocol), send(http2Frame(f.SETTINGS, 0, 1))],
  ['a stream with an even id', goaway(protocol), send(f.headers(2, nowhere))],
  [
    'a stream with a lower id than the last',
    goaway(protocol),
    send(f.headers(5, nowhere, whole), f.headers(3, nowhere, whole)),
  ],
  [
    'a stream that is opened twice',
    goaway(h2.NGHTTP2_STREAM_CLOSED),
    send(f.headers(1, nowhere, whole), f.headers(1, nowhere, whole)),
  ],
  ['a reset of a stream that never was', goaway(protocol), send(reset(7))],
  ['DATA without HEADERS', goaway(protocol), send(http2Frame(f.DATA, 0, 1, message))],
  ['DATA after the end', resets(h2.NGHTTP2_STREAM_CLOSED), send(block(), http2Frame(f.DATA, 0, 1, message))],
  ['CONTINUATION of nothing', goaway(protocol), send(http2Frame(f.CONTINUATION, f.END_HEADERS, 1))],
  [
    'DATA within a block of headers',
    goaway(protocol),
    send(f.headers(1, nowhere, 0), http2Frame(f.DATA, 0, 1, message)),
  ],
  [
    'PUSH_PROMISE of a client',
    goaway(protocol),
    send(open(1), http2Frame(f.PUSH_PROMISE, f.END_HEADERS, 1, Buffer.concat([f.uint32(2), nowhere]))),
  ],
  [
    'more padding than frame, of DATA',
    goaway(protocol),
    send(open(1), http2Frame(f.DATA, f.PADDED, 1, Buffer.from([200, 1, 2]))),
  ],
  [
    'more padding than frame, of HEADERS',
    goaway(protocol),
    send(f.headers(1, Buffer.concat([Buffer.from([255]), nowhere]), whole | f.PADDED)),
  ],
  [
    'garbage after the preface',
    goaway(protocol),
    Buffer.concat([HTTP2_PREFACE.subarray(0, 24), Buffer.alloc(4_000, 0xee)]),
  ],
  ['garbage after the first SETTINGS', goaway(size), send(Buffer.alloc(4_000, 0xee))],
  ['a name in uppercase', resets(protocol), send(odd(['X-Y', 'z']))],
  ['a pseudo-header twice', resets(protocol), send(f.headers(1, [[':path', '/x'], ...f.request(LOGIN)]))],
  ['a pseudo-header after others', resets(protocol), send(f.headers(1, [['a', 'b'], ...f.request(LOGIN)]))],
  ['a pseudo-header of answers', resets(protocol), send(f.headers(1, [[':status', '200'], ...f.request(LOGIN)]))],
  ['a request without a path', resets(protocol), send(f.headers(1, f.request(LOGIN).slice(0, 2)))],
  ['a header of HTTP/1.1', resets(protocol), send(odd(['connection', 'close']))],
  ['a header list over 16 KiB', answers(1), send(block(f.fields(['x', 'y'.repeat(15_900)])))],
  [
    'a header list of 200 fields',
    answers(1),
    send(odd(...Array.from({ length: 200 }, (_, n): f.Field => [`x${n}`, '']))),
  ],
];
