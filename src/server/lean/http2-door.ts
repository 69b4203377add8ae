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

/** A stream that was begun. It is looked after until it is closed, or given to others. */
type Begun = {
  stream: ServerHttp2Stream;
  /** When it began, and when it was answered. */
  since: number;
  state: 'waiting for its body' | 'answered' | 'given up';
  giveUp(): void;
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
  // Looked through now and then, instead of a timer and a listener more for each of them.
  let begun: Begun[] = [];
  let isLookDue = false;

  function look(): void {
    const now = performance.now();
    begun = begun.filter((one) => {
      const { stream, since, state } = one;
      if (stream.destroyed || state === 'given up') return false;
      if (state === 'answered') {
        if (now - since <= (stream.writableFinished ? UNREAD_GRACE_MS : LINGER_MS)) return true;
        stream.close(constants.NGHTTP2_CANCEL);
        stream.destroy();
        return false;
      }
      if (now - since <= WAIT_FOR_BODY_MS) return true;
      one.giveUp();
      return false;
    });
    isLookDue = begun.length > 0;
    if (isLookDue) setTimeout(look, LOOK_EVERY_MS);
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
      else one.giveUp();
    };
    const onEnd = () => finish(call.refuseCut(body.bytes()));
    const finish = (answer: LeanAnswer) => {
      one.state = 'answered';
      one.since = performance.now();
      stream.off('data', onData);
      stream.off('end', onEnd);
      send(stream, answer);
    };
    const one: Begun = {
      stream,
      since: performance.now(),
      state: 'waiting for its body',
      giveUp() {
        one.state = 'given up';
        stream.off('data', onData);
        stream.off('end', onEnd);
        stream.off('error', ignore);
        stopFlowing(stream);
        const read = body.bytes();
        if (read) stream.unshift(read);
        goOn(stream, headers, flags, rawHeaders);
      },
    };
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('error', ignore);
    begun.push(one);
    if (isLookDue) return;
    isLookDue = true;
    setTimeout(look, LOOK_EVERY_MS);
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
    address: stream.session?.socket.remoteAddress ?? '',
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
