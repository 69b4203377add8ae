import type { IncomingMessage, ServerResponse } from 'node:http';

/** No usual HTTP/1.1 client sends many requests before the first response, but Node would serve them all. */
const MAX_UNANSWERED = 16;

const unanswered = new WeakMap<object, number>();

/** Closes the connection when the limit is reached. */
export function isWithinPipelineLimit({ socket }: IncomingMessage, response: ServerResponse): boolean {
  // Node continues with requests from the same read after the connection is closed.
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
