// Passes streams of node:http2 to the fast path, by the core stream API: node:http2's requests and responses cost twice
// as much. A stream that the fast path does not answer continues to them unchanged.
import {
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from 'node:http2';
import { soleAuthorization } from './authorization.ts';
import { exceedsChunkLimit } from './body-limits.ts';
import { createBody } from './fast-body.ts';
import { type FastAnswer, type FastCall, type FastHandler, headersWith } from './fast-handler.ts';
import { peerOf } from './peer.ts';
import { UNREAD_GRACE_MS } from './request-timeouts.ts';
import { createSweeper, READ_TIMEOUT_MS, WAIT_FOR_BODY_MS } from './sweeper.ts';

export type OnStream = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: string[],
) => void;

type Tracked = {
  stream: ServerHttp2Stream;
  /** performance.now() at its start, then at its response. */
  since: number;
  handOver: (() => void) | null;
  isHandedOver: boolean;
};

// The header `date` costs as much as all other headers together, and no response here may be cached. (`sendDate` is not
// in the types.)
const PLAIN: ServerStreamResponseOptions & { sendDate: boolean } = { sendDate: false };
const ALONE = { ...PLAIN, endStream: true };
const WITH_TRAILERS = { ...PLAIN, waitForTrailers: true };

export function fastHttp2(fastPath: FastHandler, serve: OnStream): OnStream {
  const track = createSweeper<Tracked>(
    ({ stream, isHandedOver }) => stream.destroyed || isHandedOver,
    ({ stream, since, handOver }) => {
      const age = performance.now() - since;
      if (handOver) {
        if (age > WAIT_FOR_BODY_MS) handOver();
      } else if (age > (stream.writableFinished ? UNREAD_GRACE_MS : READ_TIMEOUT_MS)) {
        stream.close(constants.NGHTTP2_CANCEL);
        stream.destroy();
      }
    },
  );

  return (stream, headers, flags, rawHeaders) => {
    const call = begin(fastPath, stream, headers, rawHeaders);
    if (!call || stream.endAfterHeaders) return serve(stream, headers, flags, rawHeaders);
    const body = createBody(call.bodyLength);
    let chunks = 0;

    const onData = (chunk: Buffer) => {
      chunks += 1;
      if (exceedsChunkLimit(chunks, stream)) return;
      const missing = body.add(chunk);
      if (missing > 0) return;
      const whole = missing === 0 ? body.bytes() : null;
      const answer = whole && call.answer(whole);
      if (answer) finish(answer);
      else handOver();
    };
    const onEnd = () => {
      // Also emitted after the client has reset the stream.
      if (!stream.aborted) finish(call.rejectTruncated(body.bytes()));
    };
    const finish = (answer: FastAnswer) => {
      tracked.since = performance.now();
      tracked.handOver = null;
      stream.off('data', onData);
      stream.off('end', onEnd);
      send(stream, answer);
    };
    const handOver = () => {
      tracked.isHandedOver = true;
      stream.off('data', onData);
      stream.off('end', onEnd);
      stream.off('error', ignore);
      stopFlowing(stream);
      const read = body.bytes();
      if (read) stream.unshift(read);
      const timeout = call.remainingTimeout();
      if (timeout) headers[timeout.name] = timeout.value;
      serve(stream, headers, flags, rawHeaders);
    };
    const tracked: Tracked = { stream, since: performance.now(), handOver, isHandedOver: false };
    track(tracked);
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('error', ignore);
  };
}

function begin(
  fastPath: FastHandler,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: string[],
): FastCall | null {
  return fastPath({
    isHttp2: true,
    method: headers[':method'] ?? '',
    path: headers[':path'] ?? '',
    host: headers[':authority'] ?? headers.host ?? '',
    header(name) {
      const value = headers[name] ?? '';
      return typeof value === 'string' ? value : null;
    },
    headersWith: (prefix) => headersWith(headers, prefix),
    hasHeader: (name) => headers[name] !== undefined,
    authorization: () => soleAuthorization(rawHeaders),
    address() {
      return peerOf(stream.session?.socket).address;
    },
  });
}

function send(stream: ServerHttp2Stream, { status, headers, body, trailers }: FastAnswer): void {
  if (stream.destroyed || stream.closed) return;
  const all = [':status', String(status), ...headers];
  if (body === null) {
    stream.respond(all, ALONE);
    return;
  }
  if (trailers) {
    stream.respond(all, WITH_TRAILERS);
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  } else {
    stream.respond(all, PLAIN);
  }
  stream.end(body);
}

function ignore(): void {}

/** Restores the state from before the first listener. */
function stopFlowing(stream: ServerHttp2Stream): void {
  stream.pause();
  stream.on('readable', ignore);
  stream.off('readable', ignore);
}
