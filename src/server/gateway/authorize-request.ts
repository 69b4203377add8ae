// Decides whether a gateway's request may pass, and as which principal. This folder owns the protocols of gateways,
// ext_authz and forward auth. It must not verify tokens or decide about roles by itself.
import { type Denial, type Denials, denialOf } from '../../authorization/denials.ts';
import type { Deps } from '../../deps.ts';
import type { Call } from '../../domain/call.ts';
import type { Reason } from '../../domain/error-reason.ts';
import { InvalidValue, parseFields } from '../../domain/parse-fields.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { meets } from '../../domain/requirement.ts';
import { parseRole } from '../../domain/role.ts';
import type { Verdict } from '../../verifier/engine.ts';

const ROUTE_ACCESS = ['required', 'optional', 'public'] as const;

export type RouteRequirement = {
  /** `optional`: anonymous without a token, rejected with an invalid one. `public`: always anonymous. */
  access: (typeof ROUTE_ACCESS)[number];
  /** Empty for any role, as `audience` is for any audience. */
  role: string;
  audience: string;
};

export type Authorization = { allowed: true; principal: TokenPrincipal | null } | { allowed: false; reason: Reason };

const ANONYMOUS: Authorization = { allowed: true, principal: null };
const NAMES = ['access', 'role', 'audience'];

/**
 * Unknown names are rejected: a misspelt `role` must not open a route.
 * @throws AuthError INVALID_ARGUMENT
 */
export function parseRequirement(values: Record<string, string>): RouteRequirement {
  const unknown = Object.keys(values).filter((name) => !NAMES.includes(name));
  const { access, role, audience } = parseFields({
    access: () => parseAccess(values.access ?? 'required'),
    role: () => (values.role === undefined ? '' : parseRole(values.role)),
    audience: () => parseAudience(values.audience),
    ...Object.fromEntries(unknown.map((name) => [name, rejectName])),
  });
  return { access, role, audience };
}

/** Null when it takes a database query, or a new entry of the audit trail. */
export function authorizeFromMemory(
  { verifier, denials }: Pick<Deps, 'verifier'> & { denials: Pick<Denials, 'isRecorded'> },
  requirement: RouteRequirement,
  token: string,
): Authorization | null {
  const withoutVerdict = decideWithoutVerdict(requirement, token);
  if (withoutVerdict) return withoutVerdict;
  const verdict = verifier.judge(token, requirement.audience);
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
  const [verdict] = await verifier.judgeAll([token], requirement.audience, signal);
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

function decide({ role }: RouteRequirement, verdict: Verdict): { authorization: Authorization; denied: Denial | null } {
  if ('reason' in verdict) return { authorization: { allowed: false, reason: verdict.reason }, denied: null };
  const { principal } = verdict.decision;
  if (meets({ role }, principal)) return { authorization: { allowed: true, principal }, denied: null };
  return { authorization: { allowed: false, reason: 'ROLE_NOT_GRANTED' }, denied: denialOf(principal, role) };
}

function parseAccess(text: string): RouteRequirement['access'] {
  const access = ROUTE_ACCESS.find((one) => one === text);
  if (!access) throw new InvalidValue(`must be one of ${ROUTE_ACCESS.join(', ')}`);
  return access;
}

function parseAudience(text: string | undefined): string {
  if (text === '') throw new InvalidValue('must not be empty');
  return text ?? '';
}

function rejectName(): never {
  throw new InvalidValue(`is not one of ${NAMES.join(', ')}`);
}
