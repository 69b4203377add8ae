import type { Socket } from 'node:net';

/**
 * Start of HTTP/2 with prior knowledge (RFC 9113 section 3.4). No HTTP/1.1 request starts with its first three letters.
 */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Puts the bytes that it has read back. Destroys a connection that stays silent. */
export function detectProtocol(socket: Socket, timeoutMs: number, onDetected: (isHttp2: boolean) => void): void {
  const chunks: Buffer[] = [];
  const destroy = () => socket.destroy();
  const timer = setTimeout(destroy, timeoutMs);
  const stopWaiting = () => clearTimeout(timer);
  const onReadable = () => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk);
    const start = Buffer.concat(chunks);
    const mayBeHttp2 = start.subarray(0, PREFACE.length).equals(PREFACE.subarray(0, start.length));
    if (mayBeHttp2 && start.length < PREFACE.length) return;
    stopWaiting();
    socket.off('close', stopWaiting);
    socket.off('end', destroy);
    socket.off('readable', onReadable);
    socket.unshift(start);
    onDetected(mayBeHttp2);
  };
  socket.once('close', stopWaiting);
  socket.once('end', destroy);
  socket.on('readable', onReadable);
}
