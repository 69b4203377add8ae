// Brings requests of node:http2 to the lean path: by the core stream API, which costs half of what its requests and
// responses do. A stream that the lean path does not answer goes on to them as if nobody had touched it.
import {
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from 'node:http2';
import { areTooMany } from '../chunks.ts';
import { createBody } from './body.ts';
import type { LeanAnswer, LeanCall, LeanRpc } from './lean-rpc.ts';

export type OnStream = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: string[],
) => void;

/** A stream that is looked after until it is closed, or given to others. */
type Open = {
  stream: ServerHttp2Stream;
  /** When it began, or was answered. */
  since: number;
  /** Null once it is answered. */
  giveUp: (() => void) | null;
  isGivenUp: boolean;
};

/** A body usually comes with its headers. One that does not is waited for by those who know all about deadlines and stalls. */
const WAIT_FOR_BODY_MS = 100;
/** How long an answer may take to be read. */
const LINGER_MS = 10_000;
/** How long the rest of a request may take that has its answer already. */
const UNREAD_GRACE_MS = 500;
const LOOK_EVERY_MS = 50;
// No date: it costs as much as all other headers together, and nothing here may be cached. (`sendDate` is not in the types.)
const PLAIN: ServerStreamResponseOptions & { sendDate: boolean } = { sendDate: false };
const ALONE = { ...PLAIN, endStream: true };
const WITH_TRAILERS = { ...PLAIN, waitForTrailers: true };

/** @param goOn what answers all other streams */
export function leanHttp2(lean: LeanRpc, goOn: OnStream): OnStream {
  // Nothing is kept of a stream that is over in a moment, as nearly all are; to keep it, even until its `close`, costs the
  // garbage collector as much as answering it costs. The others are looked through now and then, instead of a timer for each.
  let fresh: Open[] = [];
  const lasting = new Set<Open>();
  let isLookDue = false;

  function sift(): void {
    for (const one of fresh) {
      if (!one.stream.destroyed) lasting.add(one);
    }
    fresh = [];
    if (isLookDue || lasting.size === 0) return;
    isLookDue = true;
    setTimeout(look, LOOK_EVERY_MS);
  }

  function look(): void {
    const now = performance.now();
    for (const one of lasting) {
      const { stream, since, giveUp, isGivenUp } = one;
      if (stream.destroyed || isGivenUp) {
        lasting.delete(one);
      } else if (giveUp) {
        if (now - since > WAIT_FOR_BODY_MS) giveUp();
      } else if (now - since > (stream.writableFinished ? UNREAD_GRACE_MS : LINGER_MS)) {
        stream.close(constants.NGHTTP2_CANCEL);
        stream.destroy();
      }
    }
    isLookDue = lasting.size > 0;
    if (isLookDue) setTimeout(look, LOOK_EVERY_MS);
  }

  function lookAfter(stream: ServerHttp2Stream, giveUp: () => void): Open {
    if (fresh.length === 0) setImmediate(sift);
    const one: Open = { stream, since: performance.now(), giveUp, isGivenUp: false };
    fresh.push(one);
    return one;
  }

  return (stream, headers, flags, rawHeaders) => {
    const call = begin(lean, stream, headers);
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
    const onEnd = () => finish(call.refuseCut(body.bytes()));
    const finish = (answer: LeanAnswer) => {
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
    const one = lookAfter(stream, giveUp);
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('error', ignore);
  };
}

function begin(lean: LeanRpc, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): LeanCall | null {
  return lean({
    isHttp2: true,
    method: headers[':method'] ?? '',
    path: headers[':path'] ?? '',
    host: headers[':authority'] ?? headers.host ?? '',
    header(name) {
      const value = headers[name] ?? '';
      return typeof value === 'string' ? value : null;
    },
    get address() {
      return stream.session?.socket.remoteAddress ?? '';
    },
  });
}

function send(stream: ServerHttp2Stream, { status, headers, body, trailers }: LeanAnswer): void {
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
