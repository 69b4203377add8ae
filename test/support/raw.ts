// Clients that do things that no library would do.
import type http2 from 'node:http2';
import { connect, type Socket } from 'node:net';

export type RawConnection = {
  socket: Socket;
  /** Everything that the server has sent so far. */
  received(): string;
  /** Milliseconds until the server closed the connection. */
  closed: Promise<number>;
};

export function rawConnection(port: number, firstBytes: string | Buffer = '', host = '127.0.0.1'): RawConnection {
  const startedAt = performance.now();
  const socket = connect(port, host);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => {});
  if (firstBytes.length > 0) socket.write(firstBytes);
  return {
    socket,
    received: () => Buffer.concat(chunks).toString('latin1'),
    closed: new Promise((resolve) => socket.once('close', () => resolve(performance.now() - startedAt))),
  };
}

export type RawAnswer = {
  headers: http2.IncomingHttpHeaders;
  trailers: http2.IncomingHttpHeaders;
  body: Buffer;
  rstCode: number;
};

/** `grpc-status`, from the headers or the trailers. */
export function statusOf({ headers, trailers }: RawAnswer): string {
  return String(trailers['grpc-status'] ?? headers['grpc-status']);
}

/** One HTTP/2 request. The stream stays open for more unless it is ended. */
export function rawStream(session: http2.ClientHttp2Session, path: string, headers: http2.OutgoingHttpHeaders = {}) {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  const answer: RawAnswer = { headers: {}, trailers: {}, body: Buffer.alloc(0), rstCode: 0 };
  stream.on('response', (received) => Object.assign(answer.headers, received));
  stream.on('trailers', (received) => Object.assign(answer.trailers, received));
  stream.on('data', (chunk: Buffer) => {
    answer.body = Buffer.concat([answer.body, chunk]);
  });
  stream.on('error', () => {});
  const closed = new Promise<RawAnswer>((resolve) =>
    stream.once('close', () => resolve({ ...answer, rstCode: stream.rstCode ?? 0 })),
  );
  return { stream, closed };
}

/** The 5-byte prefix of gRPC and the message. */
export function envelope(message: Uint8Array, flags = 0, claimedLength = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags, 0);
  prefix.writeUInt32BE(claimedLength, 1);
  return Buffer.concat([prefix, message]);
}

/** The connection preface of an HTTP/2 client. */
export const HTTP2_PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), http2Frame(4, 0, 0)]);

/** A frame as in RFC 9113 section 4.1. */
export function http2Frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** HEADERS of a gRPC call, not compressed. */
export function grpcHeadersFrame(streamId: number, path: string): Buffer {
  const fields = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  const block = Object.entries(fields).flatMap(([name, value]) => [
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
  return http2Frame(1, 4, streamId, Buffer.concat(block));
}
