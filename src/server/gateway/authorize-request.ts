// A gateway's question about one request: may it pass, and as whom?

import { type Denials, type Denied, deniedTo } from '../../authorization/denials.ts';
import type { Deps } from '../../deps.ts';
import type { Call } from '../../domain/call.ts';
import type { Reason } from '../../domain/error-reason.ts';
import { InvalidValue, parseFields } from '../../domain/parse-fields.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { parseRole } from '../../domain/role.ts';
import type { Verdict } from '../../verifier/engine.ts';

const ROUTE_ACCESS = ['required', 'optional', 'public'] as const;

/** What a route asks for. */
export type Requirement = {
  /** `optional`: without a token as nobody, with a bad one not at all. `public`: always as nobody. */
  access: (typeof ROUTE_ACCESS)[number];
  /** Empty for any. */
  role: string;
  /** Empty for any. */
  audience: string;
};

export type Admission = { admitted: true; principal: TokenPrincipal | null } | { admitted: false; reason: Reason };

const NOBODY: Admission = { admitted: true, principal: null };
const NAMES = ['access', 'role', 'audience'];

/**
 * Of the gateway's own configuration. What it does not know it refuses: a misspelt `role` must not open a route.
 * @throws AuthError INVALID_ARGUMENT
 */
export function parseRequirement(values: Record<string, string>): Requirement {
  const unknown = Object.keys(values).filter((name) => !NAMES.includes(name));
  const { access, role, audience } = parseFields({
    access: () => parseAccess(values.access ?? 'required'),
    role: () => (values.role === undefined ? '' : parseRole(values.role)),
    audience: () => parseAudience(values.audience),
    ...Object.fromEntries(unknown.map((name) => [name, refuseName])),
  });
  return { access, role, audience };
}

/** From memory, at once; null when it takes asking, or telling the audit trail. */
export function admitFromMemory(
  { verifier, denials }: Pick<Deps, 'verifier'> & { denials: Pick<Denials, 'isNoted'> },
  requirement: Requirement,
  token: string,
): Admission | null {
  const admission = withoutToken(requirement, token);
  if (admission) return admission;
  const verdict = verifier.judge(token, requirement.audience);
  const denied = verdict && deniedBy(requirement, verdict);
  if (denied && !denials.isNoted(denied)) return null;
  return verdict && conclude(requirement, verdict);
}

/** @throws AuthError DEPENDENCY_UNAVAILABLE when nobody can tell */
export async function admit(
  { verifier, denials }: Pick<Deps, 'verifier' | 'denials'>,
  requirement: Requirement,
  token: string,
  { origin, signal }: Call,
): Promise<Admission> {
  const admission = withoutToken(requirement, token);
  if (admission) return admission;
  const [verdict] = await verifier.judgeAll([token], requirement.audience, signal);
  if (!verdict) throw new Error('there is no verdict');
  const denied = deniedBy(requirement, verdict);
  if (denied) await denials.note(denied, origin);
  return conclude(requirement, verdict);
}

function withoutToken({ access }: Requirement, token: string): Admission | null {
  if (access === 'public') return NOBODY;
  if (token !== '') return null;
  return access === 'optional' ? NOBODY : { admitted: false, reason: 'CREDENTIALS_MISSING' };
}

/** Who lacks the role that the route asks for. */
function deniedBy({ role }: Requirement, verdict: Verdict): Denied | null {
  if ('reason' in verdict || role === '') return null;
  const { principal } = verdict.decision;
  return principal.roles.includes(role) ? null : deniedTo(principal, role);
}

function conclude({ role }: Requirement, verdict: Verdict): Admission {
  if ('reason' in verdict) return { admitted: false, reason: verdict.reason };
  const { principal } = verdict.decision;
  if (role !== '' && !principal.roles.includes(role)) return { admitted: false, reason: 'ROLE_NOT_GRANTED' };
  return { admitted: true, principal };
}

function parseAccess(text: string): Requirement['access'] {
  const access = ROUTE_ACCESS.find((one) => one === text);
  if (!access) throw new InvalidValue(`must be one of ${ROUTE_ACCESS.join(', ')}`);
  return access;
}

function parseAudience(text: string | undefined): string {
  if (text === '') throw new InvalidValue('must not be empty');
  return text ?? '';
}

function refuseName(): never {
  throw new InvalidValue(`is not one of ${NAMES.join(', ')}`);
}
