// Limits the age of HTTP/2 connections, so that load balancers can redistribute them (gRFC A9). Pings detect a
// disconnected client, and a close loses no call.
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';

export type Http2Connections = {
  add(session: ServerHttp2Session): void;
  /** Lets this number of the oldest end, without those that a stream without end keeps in use. */
  retire(count: number): void;
  drain(): void;
};

export type Lifetime = {
  /** A connection takes no new calls after this, plus or minus a tenth; 0 for no limit. */
  maxAgeMs: number;
  graceMs: number;
  pingEveryMs: number;
  pingTimeoutMs: number;
};

const PREFACE_TIMEOUT_MS = 10_000;
/** A connection without a call for this long is closed, even if it carries other frames. */
const IDLE_MS = 5 * 60_000;
/** For calls that the client sent before it received GOAWAY. An answer to a ping ends this wait. */
export const LAST_CALLS_MS = 1_000;
const JITTER = 0.1;
/** The highest number: GOAWAY rejects no stream yet (RFC 9113 section 6.8). */
const ANY_STREAM = 2 ** 31 - 1;

const lasting = new WeakMap<object, number>();
/** Have received GOAWAY. */
const leaving = new WeakSet<object>();

export function createHttp2Connections(lifetime: Lifetime): Http2Connections {
  const open = new Set<ServerHttp2Session>();
  let isDraining = false;

  return {
    add(session) {
      open.add(session);
      const preface = setTimeout(() => session.destroy(), PREFACE_TIMEOUT_MS);
      session.once('remoteSettings', () => clearTimeout(preface));
      const idle = setTimeout(() => (isInUse(session) ? idle.refresh() : goAway(session)), IDLE_MS);
      session.on('stream', () => idle.refresh());
      // A silent stream would keep the connection of a disconnected client open without end.
      let unanswered: NodeJS.Timeout | undefined;
      const probe = () => {
        if (session.destroyed) return;
        unanswered = setTimeout(() => session.destroy(), lifetime.pingTimeoutMs);
        session.ping(() => clearTimeout(unanswered));
      };
      const timers = [preface, idle, setInterval(probe, lifetime.pingEveryMs)];
      const age = ageOf(lifetime);
      if (age < Number.POSITIVE_INFINITY) {
        timers.push(setTimeout(() => goAway(session), age));
        timers.push(setTimeout(() => session.destroy(), age + lifetime.graceMs));
      }
      session.on('error', () => session.destroy());
      session.once('close', () => {
        open.delete(session);
        clearTimeout(unanswered);
        for (const timer of timers) clearTimeout(timer);
      });
      if (isDraining) goAway(session);
    },

    retire(count) {
      const ending = [...open].filter((session) => !isInUse(session)).slice(0, count);
      for (const session of ending) goAway(session);
    },

    drain() {
      isDraining = true;
      for (const session of open) goAway(session);
    },
  };
}

/** Random, so that connections that opened together do not close together. */
export function ageOf({ maxAgeMs }: Lifetime): number {
  return maxAgeMs === 0 ? Number.POSITIVE_INFINITY : maxAgeMs * (1 + JITTER * (2 * Math.random() - 1));
}

function isInUse(session: ServerHttp2Session): boolean {
  return (lasting.get(session) ?? 0) > 0;
}

/** GOAWAY in two steps, so that calls already sent by the client are served. */
function goAway(session: ServerHttp2Session): void {
  if (session.destroyed || session.closed || leaving.has(session)) return;
  leaving.add(session);
  session.goaway(constants.NGHTTP2_NO_ERROR, ANY_STREAM);
  const close = () => session.close();
  const timer = setTimeout(close, LAST_CALLS_MS);
  session.once('close', () => clearTimeout(timer));
  // A client that answers this ping has received the GOAWAY before it.
  session.ping(close);
}

/** The stream has no end, so the connection counts as in use until the stream is closed. */
export function markInUse(stream: ServerHttp2Stream): void {
  const { session } = stream;
  if (!session) return;
  lasting.set(session, (lasting.get(session) ?? 0) + 1);
  stream.once('close', () => lasting.set(session, (lasting.get(session) ?? 1) - 1));
}
