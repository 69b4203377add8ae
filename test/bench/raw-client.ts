// A client of HTTP/2 for measurements, cheaper than the servers that it measures: it sends the same headers with each call, in frames
// written by hand, and reads only the parts of an answer that a measurement needs.
import { connect, type Socket } from 'node:net';
import {
  ACK,
  DATA,
  END_HEADERS,
  END_STREAM,
  type Field,
  type Frame,
  GOAWAY,
  HEADERS,
  PADDED,
  PING,
  parseFrames,
  RESET,
  remembered,
  SETTINGS,
  settings,
  uint32,
  WINDOW_UPDATE,
} from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';

export type RawClient = {
  /**
   * @param body of the request, as in DATA
   * @param onAnswer receives the body of a call that ended with grpc-status 0
   * @param onFailure receives another end of a call; without it the process fails
   */
  call(body: Buffer, onAnswer: (body: Buffer) => void, onFailure?: () => void): void;
  close(): void;
};

type Call = { body: Buffer; onAnswer: (body: Buffer) => void; onFailure: (() => void) | undefined };
type OpenCall = Call & { answer: Buffer };

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const [HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE] = [1, 3, 4];
const LARGEST_WINDOW = 2 ** 31 - 1;
const DEFAULT_WINDOW = 65_535;
/** RFC 7541: fields of the static table, and the first of the dynamic table. */
const [INDEXED, METHOD_POST, SCHEME_HTTP, FIRST_DYNAMIC] = [0x80, 3, 6, 62];
const FRAME_HEAD = 9;

/** A client for calls of gRPC to one path. */
export async function openRawClient(port: number, path: string): Promise<RawClient> {
  const host = '127.0.0.1';
  const rest: Field[] = [
    [':path', path],
    [':authority', `${host}:${port}`],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ];
  const socket = connect({ port, host, noDelay: true });
  const open = new Map<number, OpenCall>();
  const waiting: Call[] = [];
  let [nextStream, sendWindow, maxStreams] = [1, DEFAULT_WINDOW, Number.POSITIVE_INFINITY];
  let unread: Buffer = Buffer.alloc(0);
  const ready = Promise.withResolvers<void>();

  const fail = (why: string) => socket.destroy(new Error(why));
  const static_ = [INDEXED | METHOD_POST, INDEXED | SCHEME_HTTP];
  const firstBlock = Buffer.concat([Buffer.from(static_), ...rest.map(remembered)]);
  // The latest field has the lowest index.
  const block = Buffer.from([...static_, ...rest.map((_, n) => INDEXED | (FIRST_DYNAMIC + rest.length - 1 - n))]);

  function send(): void {
    while (waiting.length > 0 && open.size < maxStreams && (waiting[0] as Call).body.length <= sendWindow) {
      const call = waiting.shift() as Call;
      const stream = nextStream;
      nextStream += 2;
      sendWindow -= call.body.length;
      open.set(stream, { ...call, answer: Buffer.alloc(0) });
      leaveTogether(socket);
      socket.write(http2Frame(HEADERS, END_HEADERS, stream, stream === 1 ? firstBlock : block));
      socket.write(http2Frame(DATA, END_STREAM, stream, call.body));
    }
  }

  function finish(streamId: number, call: OpenCall, trailers: Buffer): void {
    open.delete(streamId);
    if (hasStatusOk(trailers)) call.onAnswer(call.answer);
    else if (call.onFailure) call.onFailure();
    else fail(`a call failed: ${trailers.toString('latin1')}`);
    if (waiting.length > 0) send();
  }

  function receive({ type, flags, streamId, payload }: Frame): void {
    if (type === DATA || type === HEADERS) {
      const call = open.get(streamId);
      const isEnd = (flags & END_STREAM) !== 0;
      if (!call || flags & PADDED || (isEnd && type === DATA)) fail(`an unexpected frame of stream ${streamId}`);
      else if (type === DATA) call.answer = call.answer.length === 0 ? payload : Buffer.concat([call.answer, payload]);
      else if (isEnd) finish(streamId, call, payload);
    } else if (type === WINDOW_UPDATE) {
      if (streamId === 0) sendWindow += payload.readUInt32BE(0);
      send();
    } else if (type === SETTINGS && flags & ACK) {
      ready.resolve();
    } else if (type === SETTINGS) {
      for (let at = 0; at < payload.length; at += 6)
        if (payload.readUInt16BE(at) === MAX_CONCURRENT_STREAMS) maxStreams = payload.readUInt32BE(at + 2);
      socket.write(http2Frame(SETTINGS, ACK, 0));
    } else if (type === PING && !(flags & ACK)) {
      socket.write(http2Frame(PING, ACK, 0, payload));
    } else if (type === RESET || type === GOAWAY) {
      fail(`a frame of type ${type}: ${payload.toString('hex')}`);
    }
  }

  socket.on('data', (chunk: Buffer) => {
    const bytes = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
    let read = 0;
    for (const frame of parseFrames(bytes)) {
      read += FRAME_HEAD + frame.payload.length;
      receive(frame);
    }
    unread = bytes.subarray(read);
  });
  socket.on('error', (error) => {
    ready.reject(error);
    throw error;
  });
  // Without a dynamic table in the server's direction, hasStatusOk needs no state.
  const ours = settings([HEADER_TABLE_SIZE, 0], [INITIAL_WINDOW_SIZE, LARGEST_WINDOW]);
  const window = http2Frame(WINDOW_UPDATE, 0, 0, uint32(LARGEST_WINDOW - DEFAULT_WINDOW));
  socket.write(Buffer.concat([PREFACE, ours, window]));
  await ready.promise;
  return {
    call(body, onAnswer, onFailure) {
      waiting.push({ body, onAnswer, onFailure });
      send();
    },
    close: () => socket.destroy(),
  };
}

/** Frames of one turn of the event loop leave in one write. */
function leaveTogether(socket: Socket): void {
  if (socket.writableCorked > 0) return;
  socket.cork();
  process.nextTick(() => socket.uncork());
}

/** `grpc-status` as it is and in Huffman code, and the same for `0`. */
const STATUS_NAMES = ['677270632d737461747573', '9acac8b21234da8f'];
const STATUS_OK = ['30', '07'];

/** Reads a header block without references to a dynamic table (RFC 7541 section 6). */
function hasStatusOk(block: Buffer): boolean {
  let at = 0;
  const integer = (prefixBits: number) => {
    const full = 2 ** prefixBits - 1;
    let value = (block[at++] ?? 0) & full;
    if (value < full) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = block[at++] ?? 0;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const text = () => {
    const length = integer(7);
    at += length;
    return block.toString('hex', at - length, at);
  };
  while (at < block.length) {
    const first = block[at] as number;
    if (first & INDEXED) integer(7);
    else if ((first & 0xe0) === 0x20) integer(5);
    else {
      const name = integer(first & 0x40 ? 6 : 4) === 0 ? text() : '';
      const value = text();
      if (STATUS_NAMES.includes(name)) return STATUS_OK.includes(value);
    }
  }
  return false;
}
