// The part of a browser's request that decides about its session cookie (`session=cookie`).
import type { Acr } from '../../domain/acr.ts';
import {
  canChangeState,
  isFromOwnPage,
  isPageRequest,
  returnTarget,
  soleCookie,
  withoutCookies,
} from '../../domain/browser-request.ts';
import {
  type BrowserSessions,
  originOf,
  RENEW_PATH,
  STEP_UP_PATH,
  sessionCookieNames,
} from '../../domain/browser-sessions.ts';
import type { Reason } from '../../domain/error-reason.ts';
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import type { RouteRequirement } from '../../policy/route-requirement.ts';
import type { OriginalRequest } from './original-request.ts';

type Page = { origin: string; returnTo: string };

export type BrowserRequest = {
  /** Empty without a session cookie. */
  sessionToken: string;
  /** Whether another site can have sent the request, and the cookie with it, to change something. */
  isCrossSite: boolean;
  /** Null for the request of a script, and on a host without sessions. */
  page: Page | null;
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
  original: () => OriginalRequest,
  header: (name: string) => string,
): BrowserRequest | null {
  if (session !== 'cookie') return null;
  const { session: settings } = parseFields({
    session: () => sessions ?? invalid('requires the configuration key SESSION_COOKIE_ORIGINS'),
  });
  const { method, host, target } = original();
  const origin = originOf(settings, host);
  const isPage = origin !== null && isPageRequest(method, header);
  return {
    sessionToken: soleCookie(header('cookie'), sessionCookieNames(settings).session),
    isCrossSite: canChangeState(method, header) && !isFromOwnPage(header, settings.origins),
    page: isPage ? { origin, returnTo: returnTarget(target) } : null,
    isOfKnownHost: origin !== null,
  };
}

/** On every route: a browser sends the session cookie with each request to its host. */
export function otherCookies(sessions: BrowserSessions | null, header: (name: string) => string): string | null {
  const cookies = header('cookie');
  return sessions && cookies !== '' ? withoutCookies(cookies, Object.values(sessionCookieNames(sessions))) : null;
}

/** The page where the user can get what the request lacks. Null when no sign-in or step-up helps. */
export function solvingPath(reason: Reason): string | null {
  if (isSolvedBySignIn(reason)) return RENEW_PATH;
  return reason === 'STEP_UP_REQUIRED' ? STEP_UP_PATH : null;
}

export function solvingUrl({ origin, returnTo }: Page, path: string, acr: Acr | null): string {
  const parameter = path === STEP_UP_PATH && acr !== null ? `&acr=${acr}` : '';
  return `${origin}${path}?return=${encodeURIComponent(returnTo)}${parameter}`;
}

export function isSolvedBySignIn(reason: Reason): boolean {
  return SOLVED_BY_SIGN_IN.includes(reason);
}
