// HTTP/2 connections: how long they live, how it is noticed that nobody is at the other end, and how they end without a call
// being lost.
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';

export type Sessions = {
  add(session: ServerHttp2Session): void;
  /** Tells every client to go elsewhere, now and as they come. */
  drain(): void;
};

/** Of connections, so that load balancers can spread them anew (gRFC A9). */
export type Lifetime = {
  /** After this long one takes no new calls, give or take a tenth; 0 for never. */
  maxAgeMs: number;
  /** How long what is under way by then may go on. */
  graceMs: number;
  /** How often it is asked whether somebody is there. */
  pingEveryMs: number;
  /** How long the answer to that may take. */
  pingTimeoutMs: number;
};

/** How long a connection may take to complete its preface. */
const PREFACE_TIMEOUT_MS = 10_000;
/** How long it may be without a call, whatever else is sent on it. */
const IDLE_MS = 5 * 60_000;
/** For the calls that were sent before the client heard that it should go; who answers pings is not waited for. */
export const LAST_CALLS_MS = 1_000;
const JITTER = 0.1;
/** The highest there is: no stream is refused yet (RFC 9113 section 6.8). */
const ANY_STREAM = 2 ** 31 - 1;

/** How many streams each has that last for as long as their callers want. */
const lasting = new WeakMap<object, number>();

export function createSessions(lifetime: Lifetime): Sessions {
  const open = new Set<ServerHttp2Session>();
  let isDraining = false;

  return {
    add(session) {
      open.add(session);
      const preface = setTimeout(() => session.destroy(), PREFACE_TIMEOUT_MS);
      session.once('remoteSettings', () => clearTimeout(preface));
      const idle = setTimeout(() => (isInUse(session) ? idle.refresh() : sendAway(session)), IDLE_MS);
      session.on('stream', () => idle.refresh());
      // A silent stream would keep the connection of a client that is gone for ever.
      let unanswered: NodeJS.Timeout | undefined;
      const probe = () => {
        if (session.destroyed) return;
        unanswered = setTimeout(() => session.destroy(), lifetime.pingTimeoutMs);
        session.ping(() => clearTimeout(unanswered));
      };
      const timers = [preface, idle, setInterval(probe, lifetime.pingEveryMs)];
      const age = ageOf(lifetime);
      if (age < Number.POSITIVE_INFINITY) {
        timers.push(setTimeout(() => sendAway(session), age));
        timers.push(setTimeout(() => session.destroy(), age + lifetime.graceMs));
      }
      session.on('error', () => session.destroy());
      session.once('close', () => {
        open.delete(session);
        clearTimeout(unanswered);
        for (const timer of timers) clearTimeout(timer);
      });
      if (isDraining) sendAway(session);
    },

    drain() {
      isDraining = true;
      for (const session of open) sendAway(session);
    },
  };
}

/** How old one connection gets, in milliseconds: those that came together do not go together. */
export function ageOf({ maxAgeMs }: Lifetime): number {
  return maxAgeMs === 0 ? Number.POSITIVE_INFINITY : maxAgeMs * (1 + JITTER * (2 * Math.random() - 1));
}

function isInUse(session: ServerHttp2Session): boolean {
  return (lasting.get(session) ?? 0) > 0;
}

/** In two steps, so that no call is refused that was on its way. */
function sendAway(session: ServerHttp2Session): void {
  if (session.destroyed || session.closed) return;
  session.goaway(constants.NGHTTP2_NO_ERROR, ANY_STREAM);
  const close = () => session.close();
  const timer = setTimeout(close, LAST_CALLS_MS);
  session.once('close', () => clearTimeout(timer));
  // Whoever has answered this has heard it.
  session.ping(close);
}

/** Until the stream is closed its connection is in use, however long ago it began. */
export function keepOpen(stream: ServerHttp2Stream): void {
  const { session } = stream;
  if (!session) return;
  lasting.set(session, (lasting.get(session) ?? 0) + 1);
  stream.once('close', () => lasting.set(session, (lasting.get(session) ?? 1) - 1));
}
