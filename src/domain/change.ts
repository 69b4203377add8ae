/** What verifiers must hear of. Each may be told twice, and in any order with others, to the same effect. */
export type Change =
  | { kind: 'session_ended'; sessionId: string }
  | {
      kind: 'user_changed';
      userId: string;
      /** Tokens with a lower epoch carry old claims. */
      staleBelow: number;
      /** Tokens with a lower epoch are good no more. */
      revokedBelow: number;
    }
  | { kind: 'keys_changed' };

/** What has become of a token's session and user since it was signed. */
export type Standing = 'live' | 'ended' | 'stale';

/** What a token says about its session and user, by which their standing is known. */
export type StandingOf = { sessionId: string; userId: string; epoch: number };
