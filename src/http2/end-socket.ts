import type { Duplex } from 'node:stream';

/**
 * Ends a connection so that the client can receive the last bytes.
 * @param sendMs time for the client to take them
 * @param lingerMs time for the client to close its side, after it has taken them
 */
export function endSocket(socket: Duplex, sendMs: number, lingerMs: number): void {
  const destroy = () => socket.destroy();
  let timer = setTimeout(destroy, sendMs);
  socket.once('finish', () => {
    clearTimeout(timer);
    timer = setTimeout(destroy, lingerMs);
  });
  socket.once('close', () => clearTimeout(timer));
  socket.end();
}
