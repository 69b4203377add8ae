export type Authentication = {
  hasPassword: boolean;
  reauthenticatedAt: Date | null;
  /** The number of the refresh token that this re-authentication returned. */
  reauthenticatedCounter: number;
  /** Null when the provider of the sign-in does not report the time. */
  providerAuthenticatedAt: Date | null;
};

/**
 * For an account with a password, a sign-in alone never suffices.
 * @param refreshCounter of the caller's access token. It is lower in a token from before the re-authentication, which
 *   an attacker may have copied
 */
export function isReauthenticated(
  { hasPassword, reauthenticatedAt, reauthenticatedCounter, providerAuthenticatedAt }: Authentication,
  refreshCounter: number,
  now: Date,
  windowSeconds: number,
): boolean {
  const isRecent = (time: Date | null) => time !== null && now.getTime() - time.getTime() <= windowSeconds * 1000;
  const isTokenNewer = refreshCounter >= reauthenticatedCounter;
  return (isTokenNewer && isRecent(reauthenticatedAt)) || (!hasPassword && isRecent(providerAuthenticatedAt));
}
