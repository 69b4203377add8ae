// Sessions of browsers that send a cookie in place of an access token.

export type BrowserSessions = {
  /** Their pages may use the session cookie. */
  origins: string[];
  /** The page where users sign in, on each of the origins. */
  signInPath: string;
  isSecure: boolean;
};

export type SessionCookieNames = { session: string; refresh: string };

export const RENEW_PATH = '/session/renew';
export const STEP_UP_PATH = '/session/step-up';

/** Browsers accept a `__Host-` cookie only from this host, for this host, and over TLS (RFC 6265bis section 4.1.3). */
export function sessionCookieNames({ isSecure }: Pick<BrowserSessions, 'isSecure'>): SessionCookieNames {
  if (!isSecure) return { session: 'latchkey-session', refresh: 'latchkey-refresh' };
  return { session: '__Host-latchkey-session', refresh: '__Secure-latchkey-refresh' };
}

/** @param host of a request, with the port unless it is the default @returns null for a host of no origin */
export function originOf({ origins }: Pick<BrowserSessions, 'origins'>, host: string): string | null {
  const isSame = (origin: string) => URL.parse(`${new URL(origin).protocol}//${host}`)?.origin === origin;
  // A URL parser would drop what stands before an @ or after a /.
  return /^[\w.:[\]-]+$/.test(host) ? (origins.find(isSame) ?? null) : null;
}
