// A service behind a gateway. It returns each request as it received it.
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { frameOf, textFrame } from './web-socket.ts';

export type Received = {
  path: string;
  /** Names as they were sent, and values. */
  headers: [string, string][];
  trailers: [string, string][];
  bytes: number;
};

export async function startEchoService(): Promise<http.Server> {
  const server = await serve((request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.end(JSON.stringify(receivedOf(request, bytes))));
  });
  server.on('upgrade', acceptWebSocket);
  return server;
}

/** Sends the request, and then each message that it receives. */
function acceptWebSocket(request: http.IncomingMessage, socket: Duplex): void {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  const lines = ['upgrade: websocket', 'connection: upgrade', `sec-websocket-accept: ${accept}`, '', ''];
  socket.write(['HTTP/1.1 101 Switching Protocols', ...lines].join('\r\n'));
  socket.write(textFrame(JSON.stringify(receivedOf(request, 0))));
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    const frame = frameOf(chunk);
    if (frame) socket.write(textFrame(frame.text));
  });
}

function receivedOf({ url, rawHeaders, rawTrailers }: http.IncomingMessage, bytes: number): Received {
  return { path: url ?? '', headers: pairs(rawHeaders), trailers: pairs(rawTrailers), bytes };
}

function pairs(raw: string[]): [string, string][] {
  return raw.flatMap((name, n) => (n % 2 === 0 ? [[name, raw[n + 1] ?? ''] as [string, string]] : []));
}

export async function serve(listener: http.RequestListener): Promise<http.Server> {
  const server = http.createServer({ maxHeaderSize: 64 * 1024 }, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

export function portOf(server: http.Server): number {
  return (server.address() as AddressInfo).port;
}
