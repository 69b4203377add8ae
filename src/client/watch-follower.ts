// Follows the Watch stream of one of several servers, and keeps the revocation view and the keys up to date. When the
// stream ends, fails or falls silent, it continues at the next server from the same cursor.
import { Code, ConnectError } from '@connectrpc/connect';
import { backoffMs } from '../async/backoff.ts';
import { pause } from '../async/pause.ts';
import { WATCH_VERSION } from '../domain/revocation-event.ts';
import type { Server } from './servers.ts';
import { createWatchedState, type WatchedStateDeps } from './watched-state.ts';

export type WatchFollower = {
  /** Rejects when the server rejects the credential or serves no Watch. */
  ready: Promise<void>;
  /** Whether a stream is up to date and its last message was in time. */
  isFollowing(): boolean;
  serverIndex(): number;
  /** By the server's clock. Before the first message, by this machine's clock. */
  now(): number;
  close(): void;
};

export type WatchFollowerDeps = WatchedStateDeps & {
  servers: Pick<Server, 'verifier' | 'disconnect'>[];
  headers: Record<string, string>;
  /** The follower leaves a stream that keeps the view older than this. */
  maxStalenessMs: number;
  onError(error: unknown): void;
};

/** A server sends a message each second. */
const LATE_AFTER_MS = 1_500;
const SILENT_AFTER_MS = 2_000;
/** The server may have to read a long list before the stream is up to date. */
const NO_ANSWER_AFTER_MS = 5_000;
/** Keeps the clients of a stopped server from reconnecting all at once. */
const SPREAD_MS = 50;
const RECONNECT = { firstMs: 100, maxMs: 5_000 };
const CURSOR_REJECTED = [Code.OutOfRange, Code.InvalidArgument];
/** A retry fails until an operator changes the configuration. */
const PERMANENT = [Code.Unauthenticated, Code.PermissionDenied, Code.Unimplemented, Code.FailedPrecondition];

export function followWatch(deps: WatchFollowerDeps): WatchFollower {
  const { servers, headers, maxStalenessMs, onError } = deps;
  const state = createWatchedState(deps);
  const closing = new AbortController();
  const ready = createReady();
  let index = 0;
  let failures = 0;
  let isUpToDate = false;
  let lastMessageAt = 0;

  async function watchOnce(server: WatchFollowerDeps['servers'][number]): Promise<void> {
    const silence = watchSilence(() => server.disconnect());
    const signal = AbortSignal.any([closing.signal, silence.signal]);
    const request = { cursor: state.cursor(), version: WATCH_VERSION };
    state.startStream();
    try {
      for await (const message of server.verifier.watch(request, { headers, signal })) {
        lastMessageAt = performance.now();
        const confirmedAt = state.receive(message, lastMessageAt);
        if (confirmedAt !== null) {
          ready.resolve();
          if (performance.now() - confirmedAt > maxStalenessMs) throw new Error('the server is too far behind');
          // Only a second message counts as success, so that streams that end at once are retried less and less often.
          if (isUpToDate) failures = 0;
          isUpToDate = true;
        }
        silence.restart(isUpToDate ? SILENT_AFTER_MS : NO_ANSWER_AFTER_MS);
      }
    } catch (error) {
      throw silence.signal.aborted ? silence.signal.reason : error;
    } finally {
      isUpToDate = false;
      silence.stop();
    }
  }

  void (async () => {
    while (!closing.signal.aborted) {
      try {
        await watchOnce(servers[index] as Server);
      } catch (error) {
        if (closing.signal.aborted) return;
        const { code } = ConnectError.from(error);
        if (CURSOR_REJECTED.includes(code)) state.discardCursor();
        if (PERMANENT.includes(code)) ready.reject(error);
        onError(error);
      }
      index = (index + 1) % servers.length;
      failures += 1;
      await pause(delayMs(failures, servers.length), closing.signal);
    }
  })();

  return {
    ready: ready.promise,
    isFollowing: () => isUpToDate && performance.now() - lastMessageAt < LATE_AFTER_MS,
    serverIndex: () => index,
    now: () => state.serverTimeAt(performance.now()) ?? Date.now(),
    close() {
      closing.abort();
      ready.reject(new Error('closed'));
    },
  };
}

/** A rejection is also reported by onError, so callers may ignore the promise. */
function createReady() {
  let resolve: () => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<void>((onResolved, onRejected) => {
    resolve = onResolved;
    reject = onRejected;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** The delay grows only once all servers have failed. */
function delayMs(failures: number, servers: number): number {
  const rounds = Math.floor(failures / servers);
  if (rounds === 0) return SPREAD_MS * Math.random();
  return backoffMs(RECONNECT, rounds - 1) * (0.5 + Math.random());
}

function watchSilence(onSilence: () => void) {
  const silence = new AbortController();
  const end = () => {
    silence.abort(new Error('the server has been silent for too long'));
    onSilence();
  };
  let timer = setTimeout(end, NO_ANSWER_AFTER_MS);
  return {
    signal: silence.signal,
    restart(afterMs: number) {
      clearTimeout(timer);
      timer = setTimeout(end, afterMs);
    },
    stop: () => clearTimeout(timer),
  };
}
