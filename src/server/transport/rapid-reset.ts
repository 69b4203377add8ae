// Streams that a client opens only to reset them (CVE-2023-44487). Each costs as much as a call, and thousands fit into one read of
// the socket, all of which Node serves before it closes the connection for them.
import { constants, type ServerHttp2Stream } from 'node:http2';

/** Of node:http2, which by default allows a thousand at once. */
export const RESET_LIMITS = { streamResetBurst: 200, streamResetRate: 200 };
/** In one turn of the event loop: twice what a client may have open, for one that gives up all its calls at once. */
const MAX_RESETS_A_TURN = 200;

const resets = new WeakMap<object, number>();

/** Watches a stream that is about to be served. Not those of the fast path, which cost too little to be worth it. */
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

/** Whether nobody waits for an answer on it any more. */
export function isOver(stream: ServerHttp2Stream): boolean {
  return stream.closed || stream.destroyed || !stream.session || stream.session.destroyed;
}
