// One request and its answer in time: neither may stall, except where a stream is meant to last.
import http2, { type ServerHttp2Stream } from 'node:http2';
import { areTooMany, ChunkCountingHttp1Request } from './body-limits.ts';
import { ANSWER_LASTS, type NodeRequest, type NodeResponse, REQUEST_LASTS } from './handler.ts';
import { keepOpen } from './http2-connections.ts';

/** How long a connection may take to say what it speaks, and a request to arrive whole. */
export const STALL_TIMEOUT_MS = 10_000;
/** How long a request may take from its first byte to the last byte of its answer, which its caller may refuse to read. */
const EXCHANGE_TIMEOUT_MS = 20_000;
/** How long the rest of a request may take that has its answer already. */
export const UNREAD_GRACE_MS = 500;
/** How much of it is read and dropped. Over HTTP/1.1 the end of it is the end of the connection, and costs clients the answer. */
const MAX_DISCARDED_BYTES = { http1: 2 * 1024 * 1024, http2: 256 * 1024 };

/**
 * Ends an exchange whose request does not arrive in time (Connect would wait for it for ever), whose answer is not read, or
 * that was answered before all of the request was read.
 */
export function boundExchange(request: NodeRequest, response: NodeResponse): void {
  // Over HTTP/2 the stream tells the truth. Its request closes as soon as nobody reads it any more, after which its
  // response does not finish; and an answer that is finished may still be waiting for the caller to take it.
  const exchange = 'stream' in request ? request.stream : response;
  const abandon = () => {
    if (!('stream' in request)) return request.socket?.destroy();
    request.stream.close(http2.constants.NGHTTP2_CANCEL);
    // What has arrived and is not read would keep the stream, and the stream its connection.
    request.stream.destroy();
  };
  const arrivalTimer = setTimeout(abandon, STALL_TIMEOUT_MS);
  const exchangeTimer = setTimeout(abandon, EXCHANGE_TIMEOUT_MS);
  request.once('end', () => clearTimeout(arrivalTimer));
  response.once(ANSWER_LASTS, () => {
    clearTimeout(exchangeTimer);
    if ('stream' in request) keepOpen(request.stream);
    exchange.setTimeout(STALL_TIMEOUT_MS);
    exchange.on('timeout', () => {
      // Silence is no stall, unless there is something that is not taken.
      if (exchange.writableLength > 0) abandon();
      else exchange.setTimeout(STALL_TIMEOUT_MS);
    });
  });
  response.once(REQUEST_LASTS, () => clearTimeout(arrivalTimer));
  exchange.once('close', () => {
    clearTimeout(arrivalTimer);
    clearTimeout(exchangeTimer);
  });
  exchange.once('finish', () => {
    if (isRead(request)) return;
    // What is not read takes up the window of the connection, which other calls on it need.
    if (request instanceof ChunkCountingHttp1Request) request.discard(MAX_DISCARDED_BYTES.http1);
    else if ('stream' in request) discard(request.stream, abandon);
    setTimeout(() => isRead(request) || abandon(), UNREAD_GRACE_MS).unref();
  });
}

function discard(stream: ServerHttp2Stream, abandon: () => void): void {
  let [left, chunks] = [MAX_DISCARDED_BYTES.http2, 0];
  stream.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    chunks += 1;
    if (!areTooMany(chunks, stream) && left < 0) abandon();
  });
  stream.resume();
}

/** Over HTTP/1.1 Node reads and drops what nobody else reads, so it is enough that it has arrived. */
function isRead(request: NodeRequest): boolean {
  return 'stream' in request ? request.stream.readableEnded || request.stream.destroyed : request.complete;
}
