// Streams that a client opens only to reset them (CVE-2023-44487). Each costs as much as a call. Thousands fit into one
// read of the socket, and Node serves all of them before it closes the connection.
import { constants, type ServerHttp2Stream } from 'node:http2';

/** Options of node:http2, which allows a thousand resets at once by default. */
export const RESET_LIMITS = { streamResetBurst: 200, streamResetRate: 200 };
/** In one turn of the event loop. Twice the number of open streams, for a client that cancels all its calls at once. */
const MAX_RESETS_A_TURN = 200;

const resets = new WeakMap<object, number>();

/** Streams of the fast path cost too little to be counted. */
export function countResets(stream: ServerHttp2Stream): void {
  const { session } = stream;
  stream.once('close', () => {
    if (!session || stream.rstCode === constants.NGHTTP2_NO_ERROR) return;
    const count = (resets.get(session) ?? 0) + 1;
    if (count === 1) setImmediate(() => resets.delete(session));
    resets.set(session, count);
    if (count > MAX_RESETS_A_TURN) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}

export function isStreamClosed(stream: ServerHttp2Stream): boolean {
  return stream.closed || stream.destroyed || !stream.session || stream.session.destroyed;
}
