import type { Acr } from './acr.ts';

export type UserPrincipal = {
  kind: 'user';
  userId: string;
  sessionId: string;
  /** Not a key: it can change, and later belong to another account. */
  email: string;
  /** Whether the user has proved to read mail at this address. */
  emailVerified: boolean;
  /** The strength of the authentication. */
  acr: Acr;
  /** Its methods (RFC 8176), sorted. Empty when an identity provider does not report them. */
  amr: string[];
  /** The last authentication with this strength. Null for a token of the release before. */
  authTime: Date | null;
  roles: string[];
  issuedAt: Date;
  expiresAt: Date;
};

/** A service, identified by its key or its certificate. */
export type ServicePrincipal = {
  kind: 'service';
  /** Null for a service that only the configuration defines. */
  serviceAccountId: string | null;
  /** The API key of the call, or of the access token; null without an account. */
  keyId: string | null;
  /** For a service of SERVICE_KEYS: the fingerprint of its key. */
  keyFingerprint?: string;
  name: string;
  roles: string[];
};

/** A service account, identified by an access token. */
export type ServiceTokenPrincipal = Omit<ServicePrincipal, 'keyId' | 'keyFingerprint'> & {
  serviceAccountId: string;
  issuedAt: Date;
  expiresAt: Date;
};

export type TokenPrincipal = UserPrincipal | ServiceTokenPrincipal;

/** A user who calls Latchkey itself. */
export type UserCaller = UserPrincipal & {
  /** The number of the session's refresh token at the time when the access token was made. */
  refreshCounter: number;
};

export type Principal = UserCaller | ServicePrincipal;

/** Names the key without revealing it. Null for a service that a certificate identifies. */
export function keyName({ keyId, keyFingerprint }: ServicePrincipal): string | null {
  return keyId ?? keyFingerprint ?? null;
}

/** `user:<id>` or `service:<name>`. */
export function subjectName(principal: { kind: 'user'; userId: string } | { kind: 'service'; name: string }): string {
  return `${principal.kind}:${principal.kind === 'user' ? principal.userId : principal.name}`;
}
