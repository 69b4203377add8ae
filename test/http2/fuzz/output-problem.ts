// Checks the frames that the engine sends to any client.
import { HeaderDecoder } from '../../../src/http2/hpack/decoder.ts';
import { LIMITS } from '../../../src/http2/limits.ts';
import { DEFAULT_WINDOW, MAX_31_BITS, MAX_FRAME_BYTES } from '../../../src/http2/protocol.ts';
import * as f from '../../support/frames.ts';

type StreamState = 'head' | 'body' | 'ended' | 'reset';

const LENGTHS: Record<number, number> = { [f.RESET]: 4, [f.PING]: 8, [f.WINDOW_UPDATE]: 4 };
const OF_CONNECTION = [f.SETTINGS, f.PING, f.GOAWAY];
const OF_STREAM = [f.DATA, f.HEADERS, f.CONTINUATION, f.RESET];

/** @returns the first violation of RFC 9113 in the frames of a server, or null */
export function outputProblem(sent: readonly f.Frame[], received: readonly f.Frame[]): string | null {
  const checker = new OutputChecker(received);
  for (const [n, frame] of sent.entries()) {
    const problem = checker.problemOf(frame);
    if (problem) return `frame ${n} of type ${frame.type} on stream ${frame.streamId}: ${problem}`;
  }
  return null;
}

class OutputChecker {
  readonly #highestId: number;
  #acknowledgements: { [type: number]: number };
  /** Bytes of DATA that may still be sent on the connection, at most. */
  #window: number;
  readonly #streams = new Map<number, StreamState>();
  readonly #decoder = new HeaderDecoder(LIMITS);
  #isFirst = true;
  #hasFailed = false;
  #lastStreamId = MAX_31_BITS;
  #block: { streamId: number; isEnd: boolean; parts: Buffer[] } | null = null;

  /** @param received the frames of the client, of which the engine may have read only the first ones */
  constructor(received: readonly f.Frame[]) {
    const count = (type: number) => received.filter((each) => each.type === type && (each.flags & f.ACK) === 0).length;
    const growth = received.filter(({ type, streamId }) => type === f.WINDOW_UPDATE && streamId === 0);
    this.#acknowledgements = { [f.SETTINGS]: count(f.SETTINGS), [f.PING]: count(f.PING) };
    this.#window = growth.reduce((sum, { payload }) => sum + incrementOf(payload), DEFAULT_WINDOW);
    const opened = received.filter(({ type, streamId }) => type === f.HEADERS && streamId % 2 === 1);
    this.#highestId = Math.max(0, ...opened.map(({ streamId }) => streamId));
  }

  problemOf({ type, flags, streamId, payload }: f.Frame): string | null {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (isFirst && (type !== f.SETTINGS || (flags & f.ACK) !== 0)) return 'the first frame is not SETTINGS';
    if (this.#hasFailed) return 'a frame follows the error of the connection';
    if (payload.length > MAX_FRAME_BYTES) return 'the frame is too large';
    if (payload.length !== (LENGTHS[type] ?? payload.length)) return 'the length is wrong';
    if (OF_CONNECTION.includes(type) && streamId !== 0) return 'a frame of the connection is on a stream';
    if (OF_STREAM.includes(type) && streamId % 2 === 0) return 'a frame of a stream is on no stream of the client';
    if (streamId > this.#highestId) return 'the client has not opened the stream';
    if (this.#block && (type !== f.CONTINUATION || streamId !== this.#block.streamId)) return 'a block is interrupted';
    if (type === f.SETTINGS || type === f.PING) return this.#problemOfAck(type, flags);
    if (type === f.GOAWAY) return this.#problemOfGoAway(payload);
    if (type === f.WINDOW_UPDATE) return this.#problemOfWindowUpdate(streamId, payload);
    if (type === f.RESET) return this.#problemOfReset(streamId);
    if (type === f.DATA) return this.#problemOfData(streamId, flags, payload);
    if (type === f.HEADERS) this.#block = { streamId, isEnd: (flags & f.END_STREAM) !== 0, parts: [] };
    else if (type !== f.CONTINUATION || !this.#block) return 'a server does not send this';
    this.#block?.parts.push(payload);
    return (flags & f.END_HEADERS) === 0 ? null : this.#problemOfBlock(streamId);
  }

  #problemOfAck(type: number, flags: number): string | null {
    if ((flags & f.ACK) === 0) return null;
    const left = (this.#acknowledgements[type] ?? 0) - 1;
    this.#acknowledgements[type] = left;
    return left < 0 ? 'it acknowledges nothing' : null;
  }

  #problemOfGoAway(payload: Buffer): string | null {
    const last = payload.readUInt32BE(0);
    this.#hasFailed = payload.readUInt32BE(4) !== 0;
    if (last > this.#lastStreamId) return 'the last stream has a higher id than before';
    this.#lastStreamId = last;
    return null;
  }

  #problemOfWindowUpdate(streamId: number, payload: Buffer): string | null {
    if (incrementOf(payload) === 0) return 'a window grows by 0';
    return this.#streams.get(streamId) === 'reset' ? 'the stream was reset' : null;
  }

  #problemOfReset(streamId: number): string | null {
    if (this.#streams.get(streamId) === 'reset') return 'the stream was reset before';
    this.#streams.set(streamId, 'reset');
    return null;
  }

  #problemOfData(streamId: number, flags: number, payload: Buffer): string | null {
    if (this.#streams.get(streamId) !== 'body') return 'DATA is outside of a body';
    this.#window -= payload.length;
    if (this.#window < 0) return 'the window of the connection is exceeded';
    if ((flags & f.END_STREAM) !== 0) this.#streams.set(streamId, 'ended');
    return null;
  }

  #problemOfBlock(streamId: number): string | null {
    const block = Buffer.concat(this.#block?.parts ?? []);
    const isEnd = this.#block?.isEnd ?? false;
    this.#block = null;
    const list = this.#decoder.decode(block, 0, block.length);
    const state = this.#streams.get(streamId) ?? 'head';
    this.#streams.set(streamId, isEnd ? 'ended' : 'body');
    // `:status` makes a list invalid as trailers.
    if (state === 'head') return list.isTrailers ? 'the response has no status' : null;
    if (state !== 'body') return 'HEADERS are outside of a response';
    return list.isTrailers && isEnd ? null : 'the trailers are invalid';
  }
}

function incrementOf(payload: Buffer): number {
  return payload.length === 4 ? payload.readUInt32BE(0) & MAX_31_BITS : 0;
}
