// Decides whether a gateway's request may pass, and as which principal. This folder owns the protocols of gateways,
// ext_authz and forward auth. It must not verify tokens or decide about roles by itself.
import { type Denial, type Denials, denialOf } from '../../authorization/denials.ts';
import type { Deps } from '../../deps.ts';
import type { Call } from '../../domain/call.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { isForAudience, meets } from '../../domain/requirement.ts';
import type { RouteRequirement } from '../../policy/route-requirement.ts';
import type { Verdict } from '../../verifier/engine.ts';

export type Authorization = { allowed: true; principal: TokenPrincipal | null } | { allowed: false; reason: Reason };

const ANONYMOUS: Authorization = { allowed: true, principal: null };
/** Null when it takes a database query, or a new entry of the audit trail. */
export function authorizeFromMemory(
  { verifier, denials }: Pick<Deps, 'verifier'> & { denials: Pick<Denials, 'isRecorded'> },
  requirement: RouteRequirement,
  token: string,
): Authorization | null {
  const withoutVerdict = decideWithoutVerdict(requirement, token);
  if (withoutVerdict) return withoutVerdict;
  const verdict = verifier.judge(token, firstAudience(requirement));
  if (!verdict) return null;
  const { authorization, denied } = decide(requirement, verdict);
  return denied && !denials.isRecorded(denied) ? null : authorization;
}

/** @throws AuthError DEPENDENCY_UNAVAILABLE when the revocation status is unavailable */
export async function authorizeRequest(
  { verifier, denials }: Pick<Deps, 'verifier' | 'denials'>,
  requirement: RouteRequirement,
  token: string,
  { origin, signal }: Call,
): Promise<Authorization> {
  const withoutVerdict = decideWithoutVerdict(requirement, token);
  if (withoutVerdict) return withoutVerdict;
  const [verdict] = await verifier.judgeAll([token], firstAudience(requirement), signal);
  if (!verdict) throw new Error('there is no verdict');
  const { authorization, denied } = decide(requirement, verdict);
  if (denied) await denials.record(denied, origin);
  return authorization;
}

function decideWithoutVerdict({ access }: RouteRequirement, token: string): Authorization | null {
  if (access === 'public') return ANONYMOUS;
  if (token !== '') return null;
  return access === 'optional' ? ANONYMOUS : { allowed: false, reason: 'CREDENTIALS_MISSING' };
}

function firstAudience({ audiences: [first = ''] }: RouteRequirement): string {
  return first;
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
