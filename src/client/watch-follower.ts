// Follows the Watch stream of one of several servers: keeps a view of revocations and the keys, and knows how much that view can be
// trusted. When the stream ends, errs or falls silent, it goes on at the next server from where it was.
import { createPublicKey } from 'node:crypto';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import type {
  Change as ChangeMessage,
  KeysChanged,
  WatchResponse,
} from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { backoffMs } from '../async/backoff.ts';
import { pause } from '../async/pause.ts';
import type { RevocationEvent } from '../domain/revocation-event.ts';
import { isSigningAlgorithm, publicVerificationKey, type VerificationKey } from '../verifier/access-token.ts';
import type { RevocationView } from '../verifier/revocation-view.ts';
import type { Server } from './servers.ts';

export type WatchFollower = {
  /** Resolves when the view is complete for the first time; rejects when the server says that it never will be. */
  ready: Promise<void>;
  /** Whether a stream brings what is new, and its last message is not late. */
  isFollowing(): boolean;
  /** The index of the server that is followed, or is to be followed next. */
  serverIndex(): number;
  /** Milliseconds since 1970 by the server's clock; by this machine's before the first message. */
  now(): number;
  close(): void;
};

export type WatchFollowerDeps = {
  servers: Pick<Server, 'verifier' | 'disconnect'>[];
  headers: Record<string, string>;
  view: Pick<RevocationView, 'reset' | 'apply' | 'confirm' | 'ageMs'>;
  onKeys(keys: VerificationKey[], issuer: string): void;
  /** A stream that leaves the view older than this is given up for another. */
  maxStalenessMs: number;
  onError(error: unknown): void;
};

/** A server sends something each second. */
const LATE_AFTER_MS = 1_500;
const SILENT_AFTER_MS = 2_000;
/** The same, before a stream has brought the view up to date: a server may have much to read. */
const NO_ANSWER_AFTER_MS = 5_000;
/** Not all clients of a server that has gone at the same moment. */
const SPREAD_MS = 50;
const RECONNECT = { firstMs: 100, maxMs: 5_000 };
/** The cursor cannot be used, here or ever: begin again. */
const BEGIN_AGAIN = [Code.OutOfRange, Code.InvalidArgument];
/** Trying again does not help before an operator changes something. */
const HOPELESS = [Code.Unauthenticated, Code.PermissionDenied, Code.Unimplemented];

export function followWatch(deps: WatchFollowerDeps): WatchFollower {
  const { servers, headers, view, onKeys, maxStalenessMs, onError } = deps;
  const closing = new AbortController();
  const ready = Promise.withResolvers<void>();
  // A caller who does not wait for it learns the error from onError.
  ready.promise.catch(() => {});
  let cursor = '';
  let index = 0;
  /** Attempts since a stream last lived. */
  let failures = 0;
  let isUpToDate = false;
  let lastMessageAt = 0;
  /** The monotonic clock here minus the server's clock, and the time that the fastest message took. */
  let clockOffset: number | null = null;

  async function watchOnce(server: WatchFollowerDeps['servers'][number]): Promise<void> {
    const silence = watchSilence(() => server.disconnect());
    const signal = AbortSignal.any([closing.signal, silence.signal]);
    // The least that a message took from the server's clock to ours; what one takes longer, it is late.
    let leastDelay = Number.POSITIVE_INFINITY;
    // Without a cursor the server sends all that is in force. What was known before may be of a history that has ended.
    if (cursor === '') view.reset();
    try {
      for await (const message of server.verifier.watch({ cursor }, { headers, signal })) {
        lastMessageAt = performance.now();
        leastDelay = Math.min(leastDelay, lastMessageAt - sentAt(message));
        clockOffset = leastDelay;
        for (const { change } of message.changes) apply(change);
        if (message.cursor !== '' && message.asOf) {
          cursor = message.cursor;
          view.confirm(timestampMs(message.asOf) + leastDelay);
          ready.resolve();
          if (view.ageMs() > maxStalenessMs) throw new Error('the server is too far behind');
          // A stream that ends after its first message is not a success: the next attempt waits longer.
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

  function apply(change: ChangeMessage['change']): void {
    if (change.case === 'keysChanged') onKeys(verificationKeys(change.value), change.value.issuer);
    const known = toChange(change);
    if (known) view.apply([known]);
  }

  void (async () => {
    while (!closing.signal.aborted) {
      try {
        await watchOnce(servers[index] as Server);
      } catch (error) {
        if (closing.signal.aborted) return;
        const { code } = ConnectError.from(error);
        if (BEGIN_AGAIN.includes(code)) cursor = '';
        if (HOPELESS.includes(code)) ready.reject(error);
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
    now: () => (clockOffset === null ? Date.now() : performance.now() - clockOffset),
    close() {
      closing.abort();
      ready.reject(new Error('closed'));
    },
  };
}

/** None to speak of before another server that has not been tried; it grows when all have failed. */
function delayMs(failures: number, servers: number): number {
  const rounds = Math.floor(failures / servers);
  if (rounds === 0) return SPREAD_MS * Math.random();
  return backoffMs(RECONNECT, rounds - 1) * (0.5 + Math.random());
}

/** @param onSilence is called, and the signal aborted, when it was not restarted in time */
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

function sentAt({ sentAt: time }: WatchResponse): number {
  return time ? timestampMs(time) : 0;
}

function verificationKeys({ keys }: KeysChanged): VerificationKey[] {
  // A newer server may use algorithms that this library does not know yet; their tokens are refused here.
  return keys.flatMap(({ kid, algorithm, publicKey: spki }) => {
    if (!isSigningAlgorithm(algorithm)) return [];
    return publicVerificationKey(
      kid,
      algorithm,
      createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }),
    );
  });
}

function toChange(change: ChangeMessage['change']): RevocationEvent | null {
  switch (change.case) {
    case 'sessionEnded':
      return { kind: 'session_ended', sessionId: change.value.sessionId };
    case 'userChanged': {
      const { userId, staleBelowEpoch, revokedBelowEpoch } = change.value;
      return {
        kind: 'user_changed',
        userId,
        staleBelow: Number(staleBelowEpoch),
        revokedBelow: Number(revokedBelowEpoch),
      };
    }
    case 'roleChanged':
      return { kind: 'role_changed', role: change.value.role, staleBelow: Number(change.value.staleBelowEpoch) };
    default:
      return null;
  }
}
