/** `revoked`: the session or key has ended, or its owner is disabled. `stale`: the claims of the token are outdated. */
export type RevocationStatus = 'active' | 'revoked' | 'stale';

/**
 * The fields of a token that decide its revocation status. For a service: its account's id, and its key's id as
 * `sessionId`.
 */
export type RevocableToken = {
  sessionId: string;
  userId: string;
  epoch: number;
  roles: readonly string[];
  rolesEpoch: number;
};
