// Brings requests of node:http2 to the fastPath path: by the core stream API, which costs half of what its requests and
// responses do. A stream that the fastPath path does not answer goes on to them as if nobody had touched it.
import {
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from 'node:http2';
import { soleAuthorization } from './authorization.ts';
import { areTooMany } from './body-limits.ts';
import { createBody } from './fast-body.ts';
import type { FastAnswer, FastCall, FastHandler } from './fast-handler.ts';
import { peerOf } from './peer.ts';
import { createPatrol, WAIT_FOR_BODY_MS } from './sweeper.ts';

export type OnStream = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: string[],
) => void;

/** A stream that is looked after until it is closed, or given up to others. */
type Open = {
  stream: ServerHttp2Stream;
  /** When it began, or was answered. */
  since: number;
  /** Null once it is answered. */
  giveUp: (() => void) | null;
  isGivenUp: boolean;
};

/** How long an answer may take to be read. */
const LINGER_MS = 10_000;
/** How long the rest of a request may take that has its answer already. */
const UNREAD_GRACE_MS = 500;
// No date: it costs as much as all other headers together, and nothing here may be cached. (`sendDate` is not in the types.)
const PLAIN: ServerStreamResponseOptions & { sendDate: boolean } = { sendDate: false };
const ALONE = { ...PLAIN, endStream: true };
const WITH_TRAILERS = { ...PLAIN, waitForTrailers: true };

/** @param goOn what answers all other streams */
export function fastHttp2(fastPath: FastHandler, goOn: OnStream): OnStream {
  const patrol = createPatrol<Open>(
    ({ stream, isGivenUp }) => stream.destroyed || isGivenUp,
    ({ stream, since, giveUp }) => {
      const age = performance.now() - since;
      if (giveUp) {
        if (age > WAIT_FOR_BODY_MS) giveUp();
      } else if (age > (stream.writableFinished ? UNREAD_GRACE_MS : LINGER_MS)) {
        stream.close(constants.NGHTTP2_CANCEL);
        stream.destroy();
      }
    },
  );

  return (stream, headers, flags, rawHeaders) => {
    const call = begin(fastPath, stream, headers, rawHeaders);
    if (!call || stream.endAfterHeaders) return goOn(stream, headers, flags, rawHeaders);
    const body = createBody(call.bodyLength);
    let chunks = 0;

    const onData = (chunk: Buffer) => {
      chunks += 1;
      if (areTooMany(chunks, stream)) return;
      const missing = body.add(chunk);
      if (missing > 0) return;
      const whole = missing === 0 ? body.bytes() : null;
      const answer = whole && call.answer(whole);
      if (answer) finish(answer);
      else giveUp();
    };
    const onEnd = () => {
      // Also emitted for a stream that its caller has reset.
      if (!stream.aborted) finish(call.refuseCut(body.bytes()));
    };
    const finish = (answer: FastAnswer) => {
      one.since = performance.now();
      one.giveUp = null;
      stream.off('data', onData);
      stream.off('end', onEnd);
      send(stream, answer);
    };
    const giveUp = () => {
      one.isGivenUp = true;
      stream.off('data', onData);
      stream.off('end', onEnd);
      stream.off('error', ignore);
      stopFlowing(stream);
      const read = body.bytes();
      if (read) stream.unshift(read);
      goOn(stream, headers, flags, rawHeaders);
    };
    const one: Open = { stream, since: performance.now(), giveUp, isGivenUp: false };
    patrol(one);
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

/** Puts a stream back to where it was before anybody listened to its data. */
function stopFlowing(stream: ServerHttp2Stream): void {
  stream.pause();
  stream.on('readable', ignore);
  stream.off('readable', ignore);
}
