// The data that the messages of Watch lead to: keys, revocations, cursor and the server's clock. It does no I/O and reads
// no clock. docs/concepts/watch-protocol.md has the rules.
import { createPublicKey } from 'node:crypto';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Change, KeysChanged, WatchResponse } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import type { RevocationEvent } from '../domain/revocation-event.ts';
import { signingAlgorithmOf } from '../domain/signing-algorithm.ts';
import type { VerificationKey } from '../verifier/access-token.ts';
import { publicVerificationKey } from '../verifier/public-verification-key.ts';
import type { RevocationView } from '../verifier/revocation-view.ts';

export type WatchedKeys = {
  issuer: string;
  keys: VerificationKey[];
  /** Keys that are valid and that this library cannot use. */
  unusableKids: string[];
};

export type WatchedState = {
  /** The position at which the next stream starts. Empty for a snapshot. */
  cursor(): string;
  discardCursor(): void;
  startStream(): void;
  /**
   * @param arrivedAt by the monotonic clock, in milliseconds
   * @returns the monotonic time for which the data is complete; null while the message leads to no position
   */
  receive(message: WatchResponse, arrivedAt: number): number | null;
  /** The server's time in milliseconds since 1970, at a monotonic time. Null before the first message. */
  serverTimeAt(monotonicMs: number): number | null;
};

export type WatchedStateDeps = {
  view: Pick<RevocationView, 'reset' | 'apply' | 'confirm'>;
  onKeys(keys: WatchedKeys): void;
};

export function createWatchedState({ view, onKeys }: WatchedStateDeps): WatchedState {
  let cursor = '';
  /** The monotonic clock minus the server's clock, plus the time that the fastest message of the stream took. */
  let clockOffset: number | null = null;
  let leastDelay = Number.POSITIVE_INFINITY;

  return {
    cursor: () => cursor,
    discardCursor() {
      cursor = '';
    },

    startStream() {
      leastDelay = Number.POSITIVE_INFINITY;
      // Without a cursor the server sends every revocation in force. Earlier data may belong to a database that was
      // replaced.
      if (cursor === '') view.reset();
    },

    receive(message, arrivedAt) {
      // A message whose difference is above the smallest one is late by that much.
      leastDelay = Math.min(leastDelay, arrivedAt - sentAt(message));
      clockOffset = leastDelay;
      for (const { change } of message.changes) {
        if (change.case === 'keysChanged') onKeys(usableKeys(change.value));
        else view.apply([toEvent(change)]);
      }
      if (message.cursor === '' || !message.asOf) return null;
      cursor = message.cursor;
      const confirmedAt = timestampMs(message.asOf) + leastDelay;
      view.confirm(confirmedAt);
      return confirmedAt;
    },

    serverTimeAt: (monotonicMs) => (clockOffset === null ? null : monotonicMs - clockOffset),
  };
}

function sentAt({ sentAt: time }: WatchResponse): number {
  return time ? timestampMs(time) : 0;
}

function usableKeys({ keys: published, issuer }: KeysChanged): WatchedKeys {
  const keys = published.flatMap((key) => usableKey(key.kid, key.algorithm, key.publicKey) ?? []);
  const usableKids = new Set(keys.map(({ kid }) => kid));
  return { issuer, keys, unusableKids: published.map(({ kid }) => kid).filter((kid) => !usableKids.has(kid)) };
}

/** Null for an algorithm or a form of key that only a newer library can use. */
function usableKey(kid: string, algorithmName: string, spki: Uint8Array): VerificationKey | null {
  const algorithm = signingAlgorithmOf(algorithmName);
  if (!algorithm) return null;
  try {
    const publicKey = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return publicVerificationKey(kid, algorithm, publicKey);
  } catch {
    return null;
  }
}

function toEvent(change: Change['change']): RevocationEvent {
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
      return { kind: 'unknown' };
  }
}
