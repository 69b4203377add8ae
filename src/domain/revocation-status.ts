/** `revoked`: the session or key has ended, or its owner is disabled. `stale`: the claims of the token are outdated. */
export type RevocationStatus = 'active' | 'revoked' | 'stale';

/** For a service, the ids of its account and, as `sessionId`, of its key. */
export type RevocableToken = {
  sessionId: string;
  userId: string;
  epoch: number;
  roles: readonly string[];
  rolesEpoch: number;
};
