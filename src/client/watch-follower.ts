// Follows a server's Watch stream: keeps a view of revocations and the keys, knows how old that knowledge is, and when the
// stream ends, for whatever reason, goes on from where it was.
import { createPublicKey } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type Client, Code, ConnectError } from '@connectrpc/connect';
import type {
  Change as ChangeMessage,
  KeysChanged,
  VerifierService,
  WatchResponse,
} from '../../gen/auth/v1/verifier_service_pb.ts';
import type { Change } from '../domain/change.ts';
import { isSigningAlgorithm, publicVerificationKey, type VerificationKey } from '../verifier/access-token.ts';
import type { RevocationView } from '../verifier/revocation-view.ts';

export type WatchFollower = {
  /** Resolves when the view is complete for the first time; rejects when the server says that it never will be. */
  ready: Promise<void>;
  close(): void;
};

export type WatchFollowerDeps = {
  client: Pick<Client<typeof VerifierService>, 'watch'>;
  headers: Record<string, string>;
  view: Pick<RevocationView, 'apply' | 'confirm' | 'ageMs'>;
  onKeys(keys: VerificationKey[], issuer: string): void;
  /** A stream that leaves the view older than this is given up for another. */
  maxStalenessMs: number;
  onError(error: unknown): void;
};

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** The cursor cannot be used, here or ever: begin again. */
const BEGIN_AGAIN = [Code.OutOfRange, Code.InvalidArgument];
/** Trying again does not help unless somebody changes something. */
const HOPELESS = [Code.Unauthenticated, Code.PermissionDenied, Code.Unimplemented];

export function followWatch(deps: WatchFollowerDeps): WatchFollower {
  const { client, headers, view, onKeys, maxStalenessMs, onError } = deps;
  const closing = new AbortController();
  const ready = Promise.withResolvers<void>();
  // Who does not wait for it hears of it by onError.
  ready.promise.catch(() => {});
  let cursor = '';
  let delayMs = FIRST_DELAY_MS;

  async function watchOnce(): Promise<void> {
    const silence = new AbortController();
    const signal = AbortSignal.any([closing.signal, silence.signal]);
    const giveUp = () => silence.abort(new Error('the server has said nothing for too long'));
    const watchdog = setTimeout(giveUp, maxStalenessMs);
    // The least that a message took from the server's clock to ours; what one takes longer, it is late.
    let leastDelay = Number.POSITIVE_INFINITY;
    try {
      for await (const message of client.watch({ cursor }, { headers, signal })) {
        watchdog.refresh();
        leastDelay = Math.min(leastDelay, performance.now() - sentAt(message));
        for (const { change } of message.changes) apply(change);
        if (message.cursor === '' || !message.asOf) continue;
        cursor = message.cursor;
        delayMs = FIRST_DELAY_MS;
        view.confirm(timestampMs(message.asOf) + leastDelay);
        ready.resolve();
        if (view.ageMs() > maxStalenessMs) throw new Error('the server is too far behind');
      }
    } finally {
      clearTimeout(watchdog);
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
        await watchOnce();
      } catch (error) {
        if (closing.signal.aborted) return;
        const { code } = ConnectError.from(error);
        if (BEGIN_AGAIN.includes(code)) cursor = '';
        if (HOPELESS.includes(code)) ready.reject(error);
        onError(error);
      }
      // Not all clients of a server that has gone at the same moment.
      await sleep(delayMs * (0.5 + Math.random()), undefined, { signal: closing.signal }).catch(() => {});
      delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
    }
  })();

  return {
    ready: ready.promise,
    close() {
      closing.abort();
      ready.reject(new Error('closed'));
    },
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

function toChange(change: ChangeMessage['change']): Change | null {
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
