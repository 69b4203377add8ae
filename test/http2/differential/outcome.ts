// The result of a session: what a server did with each stream and with the connection.
import * as f from '../../support/frames.ts';

export type Outcome = {
  /** `ended` without an error. */
  connection: 'open' | 'error' | 'ended';
  /** The code of the GOAWAY that reports an error. */
  code: number;
  /** Its text, which both servers send. */
  reason: string;
  /** Streams on which the server has sent frames. */
  streams: Map<number, StreamOutcome>;
  /** Streams that the server has reset, also after a whole answer. */
  resets: Set<number>;
};

/** An answer with its body. It is `unfinished` when its end waits for a window. */
type StreamOutcome = `answer ${string}` | 'unfinished' | 'error';

/** @param frames all that the server has sent */
export function outcomeOf(frames: readonly f.Frame[], isEnded: boolean): Outcome {
  const outcome: Outcome = {
    connection: isEnded ? 'ended' : 'open',
    code: 0,
    reason: '',
    streams: new Map(),
    resets: new Set(),
  };
  const { streams, resets } = outcome;
  const bodies = new Map<number, string>();
  for (const { type, flags, streamId, payload } of frames) {
    if (type === f.HEADERS) streams.set(streamId, 'unfinished');
    if (type === f.DATA) bodies.set(streamId, (bodies.get(streamId) ?? '') + payload.toString('latin1'));
    if ((type === f.HEADERS || type === f.DATA) && (flags & f.END_STREAM) !== 0)
      streams.set(streamId, `answer ${bodies.get(streamId) ?? ''}`);
    if (type === f.RESET) resets.add(streamId);
    // After a whole answer, a reset only ends the request (RFC 9113 section 8.1).
    if (type === f.RESET && !streams.get(streamId)?.startsWith('answer')) streams.set(streamId, 'error');
    if (type !== f.GOAWAY || payload.readUInt32BE(4) === 0) continue;
    outcome.connection = 'error';
    outcome.code = payload.readUInt32BE(4);
    outcome.reason = payload.toString('latin1', 8);
  }
  return outcome;
}

/** In one line, for reports. */
export function outcomeWords({ connection, code, reason, streams }: Outcome): string {
  const all = [...streams].map(([id, what]) => `${id}: ${what}`);
  const error = connection === 'error' ? ` ${code} ${reason}`.trimEnd() : '';
  return [`connection ${connection}${error}`, ...all].join(', ');
}
