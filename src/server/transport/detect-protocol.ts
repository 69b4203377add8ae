import type { Socket } from 'node:net';

/** How HTTP/2 begins with prior knowledge (RFC 9113 section 3.4); no HTTP/1.1 request begins with its first three letters. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Reads just enough of a connection to tell the protocols apart, and puts it back. Destroys one that does not say. */
export function sniff(socket: Socket, timeoutMs: number, decide: (isHttp2: boolean) => void): void {
  const chunks: Buffer[] = [];
  const destroy = () => socket.destroy();
  const timer = setTimeout(destroy, timeoutMs);
  const stopWaiting = () => clearTimeout(timer);
  const onReadable = () => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk);
    const start = Buffer.concat(chunks);
    const wanted = PREFACE.subarray(0, start.length);
    const mayBeHttp2 = start.subarray(0, PREFACE.length).equals(wanted);
    if (mayBeHttp2 && start.length < PREFACE.length) return;
    stopWaiting();
    socket.off('close', stopWaiting);
    socket.off('end', destroy);
    socket.off('readable', onReadable);
    socket.unshift(start);
    decide(mayBeHttp2);
  };
  socket.once('close', stopWaiting);
  socket.once('end', destroy);
  socket.on('readable', onReadable);
}
