// Decides whether a gateway's request may pass, and as which principal. This folder owns the protocols of gateways,
// ext_authz and forward auth. It must not verify tokens or decide about roles by itself.
import {
  type CredentialTerms,
  type JudgeDeps,
  judgeCredential,
  judgeFromMemory,
  type MemoryDeps,
} from '../../auth/judge-credentials.ts';
import { type Denial, type Denials, denialOf } from '../../authorization/denials.ts';
import type { Violation } from '../../domain/auth-error.ts';
import type { Call } from '../../domain/call.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { isForAudience, meets } from '../../domain/requirement.ts';
import type { RouteRequirement } from '../../policy/route-requirement.ts';
import type { Verdict } from '../../verifier/engine.ts';

/** The part of a client's request that decides about it. */
export type GatewayRequest = {
  requirement: RouteRequirement;
  /** Empty without a credential. */
  token: string;
  isPreflight: boolean;
};

export type Rejection = { allowed: false; reason: Reason; violations?: Violation[] };
export type Authorization = { allowed: true; principal: TokenPrincipal | null } | Rejection;

const ANONYMOUS: Authorization = { allowed: true, principal: null };

/** Null when it takes a database query, or a new entry of the audit trail. */
export function authorizeFromMemory(
  deps: MemoryDeps & { denials: Pick<Denials, 'isRecorded'> },
  request: GatewayRequest,
): Authorization | null {
  const withoutVerdict = decideWithoutVerdict(request);
  if (withoutVerdict) return withoutVerdict;
  const verdict = judgeFromMemory(deps, request.token, termsOf(request));
  if (!verdict) return null;
  const { authorization, denied } = decide(request.requirement, verdict);
  return denied && !deps.denials.isRecorded(denied) ? null : authorization;
}

/** @throws AuthError as judgeCredentials */
export async function authorizeRequest(
  deps: JudgeDeps & { denials: Denials },
  request: GatewayRequest,
  call: Call,
): Promise<Authorization> {
  const withoutVerdict = decideWithoutVerdict(request);
  if (withoutVerdict) return withoutVerdict;
  const verdict = await judgeCredential(deps, request.token, termsOf(request), call);
  const { authorization, denied } = decide(request.requirement, verdict);
  if (denied) await deps.denials.record(denied, call.origin);
  return authorization;
}

function decideWithoutVerdict({ requirement, token, isPreflight }: GatewayRequest): Authorization | null {
  const { access, preflight } = requirement;
  if (access === 'public' || (isPreflight && preflight === 'pass')) return ANONYMOUS;
  if (token !== '') return null;
  return access === 'optional' ? ANONYMOUS : { allowed: false, reason: 'CREDENTIALS_MISSING' };
}

function termsOf({ requirement }: GatewayRequest): CredentialTerms {
  const { audiences, apiKeys } = requirement;
  return { audience: audiences[0] ?? '', acceptsApiKeys: apiKeys === 'accept' };
}

function decide(
  { roles, audiences }: RouteRequirement,
  verdict: Verdict,
): { authorization: Authorization; denied: Denial | null } {
  if ('reason' in verdict) return { authorization: { allowed: false, reason: verdict.reason }, denied: null };
  const { principal, token } = verdict.decision;
  if (!audiences.every((audience) => isForAudience(token.audiences, audience)))
    return { authorization: { allowed: false, reason: 'AUDIENCE_MISMATCH' }, denied: null };
  const missing = roles.find((role) => !meets({ role }, principal));
  if (missing === undefined) return { authorization: { allowed: true, principal }, denied: null };
  return { authorization: { allowed: false, reason: 'ROLE_NOT_GRANTED' }, denied: denialOf(principal, missing) };
}
