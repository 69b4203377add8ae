/** A person with a session, by an access token. */
export type UserPrincipal = {
  kind: 'user';
  userId: string;
  sessionId: string;
  /** Can change, and belong to another account later: `userId` is the key. */
  email: string;
  /** Whether mail to this address was shown to reach the user. */
  emailVerified: boolean;
  roles: string[];
  issuedAt: Date;
  expiresAt: Date;
};

/** A service, by its key or its certificate. */
export type ServicePrincipal = {
  kind: 'service';
  /** Of its service account; null for one that only configuration knows. */
  serviceAccountId: string | null;
  /** Of its API key, which the call or its access token was made with; null without an account. */
  keyId: string | null;
  name: string;
  roles: string[];
};

/** A service account, by an access token. */
export type ServiceTokenPrincipal = Omit<ServicePrincipal, 'keyId'> & {
  serviceAccountId: string;
  issuedAt: Date;
  expiresAt: Date;
};

/** Who an access token speaks for. */
export type TokenPrincipal = UserPrincipal | ServiceTokenPrincipal;

/** A person who calls Latchkey itself. */
export type UserCaller = UserPrincipal & {
  /** The number of the session's refresh token when the access token was made. */
  refreshCounter: number;
};

/** Who a credential speaks for. */
export type Principal = UserCaller | ServicePrincipal;
