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
  | {
      kind: 'role_changed';
      role: string;
      /** Tokens that carry the role, and a lower `roles_epoch`, carry old claims. */
      staleBelow: number;
    }
  | { kind: 'keys_changed' };

/** What has become of a token's session, user and roles since it was signed. */
export type Standing = 'live' | 'ended' | 'stale';

/** What a token says about its session, user and roles, by which their standing is known. */
export type StandingOf = {
  sessionId: string;
  userId: string;
  epoch: number;
  roles: readonly string[];
  rolesEpoch: number;
};
