// Time limits of a request and its response. Only a stream without an end may last longer.
import http2, { type ServerHttp2Stream } from 'node:http2';
import { ChunkCountingHttp1Request, exceedsChunkLimit } from './body-limits.ts';
import { ANSWER_LASTS, type NodeRequest, type NodeResponse, REQUEST_LASTS } from './handler.ts';
import { markInUse } from './http2-connections.ts';

/** Time that a connection has to show its protocol, and a request to arrive. */
export const STALL_TIMEOUT_MS = 10_000;
/** From the first byte of a request to the last byte of its response: a client can refuse to read it. */
const TOTAL_TIMEOUT_MS = 20_000;
/** Time for the rest of a request that already has its response. */
export const UNREAD_GRACE_MS = 500;
/**
 * Bytes of that rest that are read and dropped. Over HTTP/1.1 more of them close the connection, and the client loses
 * the response.
 */
const MAX_DISCARDED_BYTES = { http1: 2 * 1024 * 1024, http2: 256 * 1024 };

/** Connect would wait without end for a request that does not arrive. */
export function enforceRequestTimeouts(request: NodeRequest, response: NodeResponse): void {
  // Over HTTP/2 only the stream's events are reliable. The request closes when its last reader stops, and its response
  // does not finish after that. A finished response may still wait for the client to read it.
  const exchange = 'stream' in request ? request.stream : response;
  const abandon = () => {
    if (!('stream' in request)) return request.socket?.destroy();
    request.stream.close(http2.constants.NGHTTP2_CANCEL);
    // Unread data would keep the stream open, and the stream its connection.
    request.stream.destroy();
  };
  const arrivalTimer = setTimeout(abandon, STALL_TIMEOUT_MS);
  const totalTimer = setTimeout(abandon, TOTAL_TIMEOUT_MS);
  request.once('end', () => clearTimeout(arrivalTimer));
  response.once(ANSWER_LASTS, () => {
    clearTimeout(totalTimer);
    if ('stream' in request) markInUse(request.stream);
    exchange.setTimeout(STALL_TIMEOUT_MS);
    exchange.on('timeout', () => {
      // A silent stream stalls only while its reader leaves data unread.
      if (exchange.writableLength > 0) abandon();
      else exchange.setTimeout(STALL_TIMEOUT_MS);
    });
  });
  response.once(REQUEST_LASTS, () => clearTimeout(arrivalTimer));
  exchange.once('close', () => {
    clearTimeout(arrivalTimer);
    clearTimeout(totalTimer);
  });
  exchange.once('finish', () => {
    if (isRead(request)) return;
    // Unread data fills the flow-control window of the connection, which its other calls need.
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
    if (!exceedsChunkLimit(chunks, stream) && left < 0) abandon();
  });
  stream.resume();
}

/** Over HTTP/1.1 Node reads and drops unread data, so arrival is enough. */
function isRead(request: NodeRequest): boolean {
  return 'stream' in request ? request.stream.readableEnded || request.stream.destroyed : request.complete;
}
