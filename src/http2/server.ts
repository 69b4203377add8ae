// The connections of a server, and their time limits. This folder owns HTTP/2 (RFC 9113, RFC 7541) on any duplex stream.
// It imports node: modules alone, and must not know what requests are about.
import type { Duplex } from 'node:stream';
import { Http2Connection } from './connection.ts';
import { LIMITS, type Limits } from './limits.ts';
import type { Http2Stream } from './stream.ts';

export type Http2ServerOptions<Context> = {
  limits?: Partial<Limits>;
  /** A connection without a stream for this long is closed, even if it carries other frames. */
  idleMs: number;
  pingEveryMs: number;
  pingTimeoutMs: number;
  /** After its age, a connection takes this long to end its streams. */
  graceMs: number;
  onStream(stream: Http2Stream<Context>): void;
  onDefect(error: unknown): void;
};

export type Http2Server<Context> = {
  /**
   * Serves HTTP/2 on an open socket, from the client's preface on.
   * @param context the property of each stream with this name
   * @param maxAgeMs the connection takes no streams after this; infinite for no limit
   */
  serve(socket: Duplex, context: Context, maxAgeMs: number): void;
  connections(): number;
  /** Ends this number of the oldest connections as `drain` does, without those that an endless response keeps in use. */
  retire(count: number): void;
  /** Ends every connection, now and in future, once its streams have ended. */
  drain(): void;
};

/** The precision of all time limits. */
const CHECK_EVERY_MS = 50;

export function createHttp2Server<Context>(options: Http2ServerOptions<Context>): Http2Server<Context> {
  const { onStream, onDefect, idleMs, graceMs, pingEveryMs, pingTimeoutMs } = options;
  const limits = { ...LIMITS, ...options.limits };
  /** With the time at which each one takes no further streams. */
  const open = new Map<Http2Connection<Context>, { retireAt: number; probeAt: number }>();
  let timer: NodeJS.Timeout | undefined;
  let isDraining = false;

  function checkAll(): void {
    const now = performance.now();
    for (const [connection, times] of open) {
      check(connection, times, now);
      connection.checkStreams(now);
    }
  }

  function check(
    connection: Http2Connection<Context>,
    times: { retireAt: number; probeAt: number },
    now: number,
  ): void {
    if (now - connection.openedAt > limits.handshakeMs) connection.endHandshake();
    if (now - connection.output.blockedAt > limits.maxBlockedMs) connection.destroy();
    if (now - connection.probedAt > pingTimeoutMs) connection.destroy();
    if (now >= times.probeAt) {
      times.probeAt = now + pingEveryMs;
      connection.probe();
    }
    if (connection.streams.size > 0) connection.usedAt = now;
    if (now >= times.retireAt || now - connection.usedAt > idleMs) connection.drain();
    if (now >= times.retireAt + graceMs) connection.destroy();
    if (now - connection.drainedAt > limits.lastStreamsMs) connection.rejectFurtherStreams();
  }

  return {
    serve(socket, context, maxAgeMs) {
      if (socket.destroyed) return;
      const onClosed = () => {
        open.delete(connection);
        if (open.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
      const connection = new Http2Connection(socket, { limits, context, onStream, onDefect, onClosed });
      const now = performance.now();
      open.set(connection, { retireAt: now + maxAgeMs, probeAt: now + pingEveryMs });
      timer ??= setInterval(checkAll, CHECK_EVERY_MS);
      if (isDraining) connection.drain();
    },

    connections: () => open.size,

    retire(count) {
      const ending = [...open.keys()]
        .filter(({ streams }) => ![...streams.values()].some(({ isLasting }) => isLasting))
        .slice(0, count);
      for (const connection of ending) connection.drain();
    },

    drain() {
      isDraining = true;
      for (const connection of open.keys()) connection.drain();
    },
  };
}
