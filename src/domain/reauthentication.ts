/** What is known of a session's user besides the sign-in. */
export type Authentication = {
  hasPassword: boolean;
  /** When the password was given last in this session, after the sign-in. */
  reauthenticatedAt: Date | null;
  /** When the user authenticated at the provider that the session was begun with; null when the provider does not say. */
  providerAuthenticatedAt: Date | null;
};

/**
 * Whether a session may make sensitive changes. Where the account has a password, a sign-in alone never suffices.
 * @param tokenIssuedAt of the caller's access token: a token that was copied before the re-authentication does not gain by it
 */
export function isReauthenticated(
  { hasPassword, reauthenticatedAt, providerAuthenticatedAt }: Authentication,
  tokenIssuedAt: Date,
  now: Date,
  windowSeconds: number,
): boolean {
  const isRecent = (time: Date | null) => time !== null && now.getTime() - time.getTime() <= windowSeconds * 1000;
  // Tokens say the second alone.
  const isTokenNewer = reauthenticatedAt !== null && seconds(tokenIssuedAt) >= seconds(reauthenticatedAt);
  return (isTokenNewer && isRecent(reauthenticatedAt)) || (!hasPassword && isRecent(providerAuthenticatedAt));
}

function seconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}
