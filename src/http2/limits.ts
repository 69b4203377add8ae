// Every limit of the engine. Each one bounds the memory or the work that one connection can cause.

export type Limits = {
  /** SETTINGS_MAX_CONCURRENT_STREAMS. Further streams are refused, and clients send them again. */
  maxStreams: number;
  /** Before the settings bind the client, which cannot know the limit earlier. */
  maxStreamsUnannounced: number;
  /** SETTINGS_MAX_HEADER_LIST_SIZE, counted as RFC 9113 section 6.5.2 says. A longer list is marked as too large. */
  maxHeaderListBytes: number;
  maxHeaderFields: number;
  /** An encoded header block with its CONTINUATION frames. A longer one ends the connection. */
  maxHeaderBlockBytes: number;
  maxContinuations: number;
  /** The window of each stream: bytes of a body that nothing has read. */
  streamWindow: number;
  /** The window of the connection: bytes of all its bodies that nothing has read. */
  connectionWindow: number;
  /** Frames of one body. Each costs nearly as much as a call. */
  maxBodyPieces: number;
  /** Bytes of a body that still arrive after the response. More of them reset the stream. */
  maxDiscardedBytes: number;
  /** Time for the rest of a body after the response. */
  discardMs: number;
  /** Streams that end without a result: reset by the client, or by the server for a fault of the client. */
  resets: Rate;
  /** PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and unknown frames, beyond a few for each response. */
  controlFrames: Rate;
  /** New streams in one turn of the event loop. Other connections get their turn after that many. */
  maxStreamsPerTurn: number;
  /** Frames of any type in one turn of the event loop. */
  maxFramesPerTurn: number;
  /** Time for the client's preface. After it, the settings bind also a client that has not acknowledged them. */
  handshakeMs: number;
  /** A client that takes no bytes from its socket for this long is disconnected. */
  maxBlockedMs: number;
  /** For the client to receive the reason of a connection error. */
  lingerMs: number;
  /** Time for streams that the client sent before it received the first GOAWAY. */
  lastStreamsMs: number;
};

/** A bucket that holds `burst` and gains `perSecond`. */
export type Rate = { burst: number; perSecond: number };

export const LIMITS: Limits = {
  maxStreams: 250,
  maxStreamsUnannounced: 1_000,
  maxHeaderListBytes: 16 * 1024,
  maxHeaderFields: 100,
  maxHeaderBlockBytes: 64 * 1024,
  maxContinuations: 8,
  streamWindow: 64 * 1024 - 1,
  connectionWindow: 256 * 1024,
  maxBodyPieces: 1_024,
  maxDiscardedBytes: 256 * 1024,
  discardMs: 500,
  resets: { burst: 200, perSecond: 200 },
  controlFrames: { burst: 1_000, perSecond: 1_000 },
  maxStreamsPerTurn: 100,
  maxFramesPerTurn: 1_000,
  handshakeMs: 10_000,
  maxBlockedMs: 10_000,
  lingerMs: 250,
  lastStreamsMs: 1_000,
};

/** The rest of a rate. */
export class Allowance {
  readonly #rate: Rate;
  #left: number;
  #at = 0;

  constructor(rate: Rate) {
    this.#rate = rate;
    this.#left = rate.burst;
  }

  /** @returns false when nothing is left */
  take(nowMs: number): boolean {
    const gained = ((nowMs - this.#at) / 1000) * this.#rate.perSecond;
    this.#left = Math.min(this.#rate.burst, this.#left + gained);
    this.#at = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  giveBack(count: number): void {
    this.#left = Math.min(this.#rate.burst, this.#left + count);
  }
}
