// One request of a browser to these endpoints, and the answers that several of them give.
import type { finishStepUp } from '../../account/finish-step-up.ts';
import type { startStepUp } from '../../account/start-step-up.ts';
import type { finishSignIn } from '../../auth/finish-sign-in.ts';
import type { JudgeSessionDeps } from '../../auth/judge-session.ts';
import type { login } from '../../auth/login.ts';
import { logout } from '../../auth/logout.ts';
import type { refresh } from '../../auth/refresh.ts';
import type { AuthError } from '../../domain/auth-error.ts';
import { type BrowserSessions, sessionCookieNames } from '../../domain/browser-sessions.ts';
import type { Call } from '../../domain/call.ts';
import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import type { Tokens } from '../../domain/tokens.ts';
import { sessionTokenOf } from '../../keys/session-token.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import type { FairSlots } from '../calls/fair-slots.ts';
import type { ServerRequest } from '../transport/server-request.ts';
import type { ServerResponse } from '../transport/server-response.ts';
import { setSessionCookies } from './session-cookies.ts';
import { sendPage } from './session-pages.ts';
import { cookieOf } from './session-request.ts';

type DepsOf<UseCase extends (deps: never, ...rest: never[]) => unknown> = Parameters<UseCase>[0];
type UseCaseDeps = DepsOf<typeof login> &
  DepsOf<typeof finishSignIn> &
  DepsOf<typeof startStepUp> &
  DepsOf<typeof finishStepUp> &
  DepsOf<typeof refresh> &
  DepsOf<typeof logout> &
  JudgeSessionDeps;

export type BrowserSessionDeps = UseCaseDeps & {
  concurrencyLimit: ConcurrencyLimit;
  waiting: FairSlots;
  unread: FairSlots;
};

export type Visit = {
  deps: BrowserSessionDeps;
  settings: BrowserSessions;
  request: ServerRequest;
  response: ServerResponse;
  call: Call;
};

const STATUSES: Partial<Record<string, number>> = {
  ...{ permission_denied: 403, unauthenticated: 401, resource_exhausted: 429, unavailable: 503 },
  ...{ invalid_argument: 400, deadline_exceeded: 504, internal: 500 },
  ...{ failed_precondition: 400, already_exists: 409 },
};

export function statusOf(reason: Reason | ''): number {
  return (reason !== '' && STATUSES[ERROR_REASONS[reason].code]) || 500;
}

/** The texts of other reasons are for developers too, and suit users. */
const TEXTS_FOR_USERS: Partial<Record<Reason, string>> = {
  FACTOR_INVALID: 'The code or the passkey is wrong, used or too old.',
  FACTOR_MISSING:
    'This page requires a second factor that your account does not have, such as a passkey. Add one, then try again.',
};

export function textForUsers(reason: Reason | '', text: string): string {
  return (reason !== '' && TEXTS_FOR_USERS[reason]) || text;
}

/** @param html makes the form again, with the message */
export function showRejection({ response }: Visit, error: AuthError, html: (message: string) => string): void {
  const { reason, retryAfterMs, violations } = error;
  if (retryAfterMs !== undefined) response.setHeader('retry-after', Math.ceil(retryAfterMs / 1000));
  const details = violations.map(({ field, description }) => `${field} ${description}`);
  const text = textForUsers(reason, ERROR_REASONS[reason].message);
  sendPage(response, statusOf(reason), html([text, ...details].join(': ')));
}

export async function leaveCurrentSession(visit: Visit): Promise<void> {
  const refreshToken = refreshCookieOf(visit);
  if (refreshToken !== '') await logout(visit.deps, { refreshToken }, visit.call);
}

export function giveCookies({ deps, settings, response }: Visit, tokens: Tokens): void {
  const sessionToken = sessionTokenOf(tokens.accessToken, deps.purposeKeys.sessionTokens);
  setSessionCookies(response, { tokens, sessionToken, isSecure: settings.isSecure, now: deps.now() });
}

export function refreshCookieOf({ request, settings }: Visit): string {
  return cookieOf(request, sessionCookieNames(settings).refresh);
}

export function redirectToSignIn(visit: Visit, returnTo: string): void {
  redirect(visit, signInUrl(visit, returnTo));
}

export function signInUrl({ settings }: Visit, returnTo: string): string {
  return `${settings.signInPath}?return=${encodeURIComponent(returnTo)}`;
}

/** 303: the next request is a GET. The target is a path, never another origin. */
export function redirect({ response }: Visit, target: string): void {
  response.statusCode = 303;
  response.setHeader('location', target);
  response.end();
}
