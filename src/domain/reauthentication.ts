export type Authentication = {
  hasPassword: boolean;
  hasFactor: boolean;
  reauthenticatedAt: Date | null;
  /** The number of the refresh token that this re-authentication returned. */
  reauthenticatedCounter: number;
  reauthenticatedByFactor: boolean;
  /** Null when the provider of the sign-in does not report the time. */
  providerAuthenticatedAt: Date | null;
};

/**
 * For an account with a password or a factor, a sign-in alone never suffices. A factor that the account has is required.
 * @param refreshCounter of the caller's access token. It is lower in a token from before the re-authentication, which
 *   an attacker may have copied
 */
export function isReauthenticated(
  authentication: Authentication,
  refreshCounter: number,
  now: Date,
  windowSeconds: number,
): boolean {
  const { hasPassword, hasFactor, reauthenticatedAt, providerAuthenticatedAt } = authentication;
  const isRecent = (time: Date | null) => time !== null && now.getTime() - time.getTime() <= windowSeconds * 1000;
  const isTokenNewer = refreshCounter >= authentication.reauthenticatedCounter;
  const isSufficient = !hasFactor || authentication.reauthenticatedByFactor;
  if (isSufficient && isTokenNewer && isRecent(reauthenticatedAt)) return true;
  return !hasPassword && !hasFactor && isRecent(providerAuthenticatedAt);
}
