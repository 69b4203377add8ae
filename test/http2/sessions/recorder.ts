// A server that keeps the bytes of its clients. With a certificate it terminates TLS, as browsers need it.
import { once } from 'node:events';
import http2 from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';

export type Recorder = {
  port: number;
  /** @returns the bytes of each connection since the last call */
  take(): Buffer[];
  close(): void;
};

export async function startRecorder(certificate: { cert: string; key: string } | null = null): Promise<Recorder> {
  let recorded: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const answering = http2.createServer().on('stream', answer);
  const onConnection = (socket: Socket) => {
    const chunks: Buffer[] = [];
    recorded.push(chunks);
    sockets.add(socket);
    const [near, far] = duplexPair();
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => {});
    socket.pipe(near).pipe(socket);
    answering.emit('connection', far);
  };
  const server = certificate
    ? createTlsServer({ ...certificate, ALPNProtocols: ['h2'] }, onConnection)
    : createServer(onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    take() {
      const all = recorded;
      recorded = [];
      return all.map((chunks) => Buffer.concat(chunks));
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const PAGE = "<body>ok<script>fetch('/post', { method: 'POST', body: 'a body' })</script></body>";

/** With an empty message for gRPC, and with a page for others. */
function answer(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
  const isGrpc = headers['content-type']?.startsWith('application/grpc') ?? false;
  stream.on('error', () => {});
  stream.on('end', () => {
    if (stream.destroyed) return;
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const type = isGrpc ? 'application/grpc' : 'text/html';
    stream.respond({ ':status': 200, 'content-type': type }, { waitForTrailers: isGrpc });
    stream.end(isGrpc ? Buffer.alloc(5) : PAGE);
  });
  stream.resume();
}
