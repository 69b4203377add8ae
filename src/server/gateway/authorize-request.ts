// Decides whether a gateway's request may pass, and as which principal. This folder owns the protocols of gateways,
// ext_authz and forward auth. It must not verify tokens or decide about roles by itself.
import {
  type CredentialTerms,
  type JudgeDeps,
  judgeCredential,
  judgeFromMemory,
  type MemoryDeps,
} from '../../auth/judge-credentials.ts';
import { type JudgeSessionDeps, judgeSession, judgeSessionFromMemory } from '../../auth/judge-session.ts';
import { type Denial, type Denials, denialOf } from '../../authorization/denials.ts';
import type { RequiredStrength } from '../../domain/acr.ts';
import type { Violation } from '../../domain/auth-error.ts';
import type { Call } from '../../domain/call.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { isForAudience, unmetReason } from '../../domain/requirement.ts';
import type { RouteRequirement } from '../../policy/route-requirement.ts';
import type { Verdict } from '../../verifier/engine.ts';
import { type BrowserRequest, isSolvedBySignIn, solvingPath, solvingUrl } from './browser-request.ts';

/** The part of a client's request that decides about it. */
export type GatewayRequest = {
  requirement: RouteRequirement;
  /** Empty without a credential. */
  token: string;
  isPreflight: boolean;
  /** Null where the route accepts no session cookie. */
  browser: BrowserRequest | null;
  /** Null without a `cookie` header, and while browser sessions are off. */
  otherCookies: string | null;
};

export type Rejection = {
  allowed: false;
  reason: Reason;
  violations?: Violation[];
  /** With STEP_UP_REQUIRED. */
  required?: RequiredStrength;
  /** For a page whose user can get a session there. */
  redirect?: { url: string; byHeader: boolean };
};
export type Authorization =
  | {
      allowed: true;
      principal: TokenPrincipal | null;
      /** All cookies but Latchkey's, for the service behind the gateway. Absent when they can stay as they are. */
      cookies?: string;
    }
  | Rejection;

const ANONYMOUS: Authorization = { allowed: true, principal: null };
const UNKNOWN_HOST = { field: 'x-forwarded-host', description: 'must be a host of SESSION_COOKIE_ORIGINS' };

/** Null when it takes a database query, or a new entry of the audit trail. */
export function authorizeFromMemory(
  deps: MemoryDeps & JudgeSessionDeps & { denials: Pick<Denials, 'isRecorded'> },
  request: GatewayRequest,
): Authorization | null {
  const withoutVerdict = decideWithoutVerdict(request);
  if (withoutVerdict) return withOtherCookies(withoutVerdict, request);
  const verdict = isByCookie(request)
    ? judgeSessionFromMemory(deps, request.browser.sessionToken, termsOf(request).audience)
    : judgeFromMemory(deps, request.token, termsOf(request));
  if (!verdict) return null;
  const { authorization, denied } = decide(request, verdict, deps.now().getTime());
  return denied && !deps.denials.isRecorded(denied) ? null : withOtherCookies(authorization, request);
}

/** @throws AuthError as judgeCredentials */
export async function authorizeRequest(
  deps: JudgeDeps & JudgeSessionDeps & { denials: Denials },
  request: GatewayRequest,
  call: Call,
): Promise<Authorization> {
  const withoutVerdict = decideWithoutVerdict(request);
  if (withoutVerdict) return withOtherCookies(withoutVerdict, request);
  const verdict = isByCookie(request)
    ? await judgeSession(deps, request.browser.sessionToken, termsOf(request).audience, call.signal)
    : await judgeCredential(deps, request.token, termsOf(request), call);
  const { authorization, denied } = decide(request, verdict, deps.now().getTime());
  if (denied) await deps.denials.record(denied, call.origin);
  return withOtherCookies(authorization, request);
}

/** A credential in the header counts before the cookie. */
function isByCookie(request: GatewayRequest): request is GatewayRequest & { browser: BrowserRequest } {
  return request.token === '' && request.browser !== null && request.browser.sessionToken !== '';
}

function decideWithoutVerdict(request: GatewayRequest): Authorization | null {
  const { access, preflight } = request.requirement;
  if (access === 'public' || (request.isPreflight && preflight === 'pass')) return ANONYMOUS;
  if (request.token !== '') return null;
  if (!isByCookie(request)) return access === 'optional' ? ANONYMOUS : rejected(request, 'CREDENTIALS_MISSING');
  if (!request.browser.isCrossSite) return null;
  return access === 'optional' ? ANONYMOUS : rejected(request, 'CROSS_SITE_REQUEST');
}

function rejected(request: GatewayRequest, reason: Reason, required?: RequiredStrength): Rejection {
  const { requirement, token, browser } = request;
  const rejection: Rejection = { allowed: false, reason, ...(required && { required }) };
  const path = browser && token === '' ? solvingPath(reason) : null;
  if (!browser || path === null) return rejection;
  if (!browser.isOfKnownHost) return { ...rejection, violations: [UNKNOWN_HOST] };
  if (!browser.page) return rejection;
  const url = solvingUrl(browser.page, path, requirement.acr);
  return { ...rejection, redirect: { url, byHeader: requirement.redirect === 'header' } };
}

/** The service behind the gateway has no use for the session cookie, and could use it as the user. */
function withOtherCookies(authorization: Authorization, { otherCookies }: GatewayRequest): Authorization {
  return authorization.allowed && otherCookies !== null ? { ...authorization, cookies: otherCookies } : authorization;
}

function termsOf({ requirement }: GatewayRequest): CredentialTerms {
  const { audiences, apiKeys } = requirement;
  return { audience: audiences[0] ?? '', acceptsApiKeys: apiKeys === 'accept', strength: null };
}

type Decided = { authorization: Authorization; denied: Denial | null };

function decide(request: GatewayRequest, verdict: Verdict, nowMs: number): Decided {
  const { access, roles, audiences, acr, maxAgeSeconds } = request.requirement;
  if ('reason' in verdict) {
    // The browser sends an old cookie by itself, so it is no attempt to sign in.
    const isIgnored = access === 'optional' && isByCookie(request) && isSolvedBySignIn(verdict.reason);
    return { authorization: isIgnored ? ANONYMOUS : rejected(request, verdict.reason), denied: null };
  }
  const { principal, token } = verdict.decision;
  if (!audiences.every((audience) => isForAudience(token.audiences, audience)))
    return { authorization: { allowed: false, reason: 'AUDIENCE_MISMATCH' }, denied: null };
  const required = { acr, maxAgeSeconds };
  const reason = unmetReason(required, principal, nowMs);
  if (reason !== null) return { authorization: rejected(request, reason, required), denied: null };
  const missing = roles.find((role) => unmetReason({ role }, principal) !== null);
  if (missing === undefined) return { authorization: { allowed: true, principal }, denied: null };
  return { authorization: { allowed: false, reason: 'ROLE_NOT_GRANTED' }, denied: denialOf(principal, missing) };
}
