// The part of a browser's request that decides about its session cookie (`session=cookie`).
import {
  canChangeState,
  isFromOwnPage,
  isPageRequest,
  returnTarget,
  soleCookie,
  withoutCookies,
} from '../../domain/browser-request.ts';
import { type BrowserSessions, originOf, RENEW_PATH, sessionCookieNames } from '../../domain/browser-sessions.ts';
import type { Reason } from '../../domain/error-reason.ts';
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import type { RouteRequirement } from '../../policy/route-requirement.ts';
import type { OriginalRequest } from './original-request.ts';

export type BrowserRequest = {
  /** Empty without a session cookie. */
  sessionToken: string;
  /** Whether another site can have sent the request, and the cookie with it, to change something. */
  isCrossSite: boolean;
  /** Where the page gets a session; null for the request of a script, and on a host without sessions. */
  renewUrl: string | null;
  isOfKnownHost: boolean;
};

/** Without a session a user can renew it or sign in. Another audience or role would lead to a loop of redirects. */
const SOLVED_BY_SIGN_IN: Reason[] = [
  'CREDENTIALS_MISSING',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'TOKEN_REVOKED',
  'TOKEN_STALE',
];

/**
 * Null where the route accepts no cookie.
 * @throws AuthError INVALID_ARGUMENT when cookies of browsers are off
 */
export function readBrowserRequest(
  sessions: BrowserSessions | null,
  { session }: RouteRequirement,
  original: OriginalRequest | null,
  header: (name: string) => string,
): BrowserRequest | null {
  if (session !== 'cookie') return null;
  const { session: settings } = parseFields({
    session: () => sessions ?? invalid('requires the configuration key SESSION_COOKIE_ORIGINS'),
  });
  if (!original) throw new Error('a route with session=cookie needs the original request');
  const { method, host, target } = original;
  const origin = originOf(settings, host);
  const isPage = origin !== null && isPageRequest(method, header);
  return {
    sessionToken: soleCookie(header('cookie'), sessionCookieNames(settings).session),
    isCrossSite: canChangeState(method, header) && !isFromOwnPage(header, settings.origins),
    renewUrl: isPage ? `${origin}${RENEW_PATH}?return=${encodeURIComponent(returnTarget(target))}` : null,
    isOfKnownHost: origin !== null,
  };
}

/** On every route: a browser sends the session cookie with each request to its host. */
export function otherCookies(sessions: BrowserSessions | null, header: (name: string) => string): string | null {
  const cookies = header('cookie');
  return sessions && cookies !== '' ? withoutCookies(cookies, Object.values(sessionCookieNames(sessions))) : null;
}

export function isSolvedBySignIn(reason: Reason): boolean {
  return SOLVED_BY_SIGN_IN.includes(reason);
}
