/** Idempotent: verifiers can receive an event twice, and in any order with others, to the same effect. */
export type RevocationEvent =
  | { kind: 'session_ended'; sessionId: string }
  | {
      kind: 'user_changed';
      userId: string;
      /** Tokens with a lower epoch carry outdated claims. */
      staleBelow: number;
      /** Tokens with a lower epoch are revoked. */
      revokedBelow: number;
    }
  | {
      kind: 'role_changed';
      role: string;
      /** Tokens that carry the role and a lower `roles_epoch` carry outdated claims. */
      staleBelow: number;
    }
  | { kind: 'keys_changed' }
  /** Only a newer release has its kind. It may concern any token. */
  | { kind: 'unknown' };

/** The version of the Watch contract that introduced a kind. Every client must be able to receive `unknown`. */
export const WATCH_VERSIONS: Record<RevocationEvent['kind'], number> = {
  session_ended: 1,
  user_changed: 1,
  role_changed: 1,
  keys_changed: 1,
  unknown: 1,
};

/** The newest version of the Watch contract. */
export const WATCH_VERSION = Math.max(...Object.values(WATCH_VERSIONS));
/** A request without a version has 0. */
export const OLDEST_WATCH_VERSION = 1;
