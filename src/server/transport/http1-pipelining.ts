import type { IncomingMessage, ServerResponse } from 'node:http';

/** Over HTTP/1.1 no client sends many requests before the answer to the first, but Node would serve them all. */
const MAX_UNANSWERED = 16;

const unanswered = new WeakMap<object, number>();

/** Whether one more request of this HTTP/1.1 connection may be served; when not, the connection has been closed. */
export function mayPipeline({ socket }: IncomingMessage, response: ServerResponse): boolean {
  // Node goes on with the requests of the same read.
  if (socket.destroyed) return false;
  const count = (unanswered.get(socket) ?? 0) + 1;
  if (count > MAX_UNANSWERED) {
    socket.destroy();
    return false;
  }
  unanswered.set(socket, count);
  response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
  return true;
}
