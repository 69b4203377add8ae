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
  | { kind: 'keys_changed' };
