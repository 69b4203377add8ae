/** What is known of a session's user besides the sign-in. */
export type Authentication = {
  hasPassword: boolean;
  /** When the password was given last in this session, after the sign-in. */
  reauthenticatedAt: Date | null;
  /** The number of the refresh token that was given out then. */
  reauthenticatedCounter: number;
  /** When the user authenticated at the provider that the session was begun with; null when the provider does not say. */
  providerAuthenticatedAt: Date | null;
};

/**
 * Whether a session may make sensitive changes. Where the account has a password, a sign-in alone never suffices.
 * @param refreshCounter of the caller's access token. A token that was copied before the re-authentication, or made with a refresh
 *   token that was, has a lower one and gains nothing by it
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
