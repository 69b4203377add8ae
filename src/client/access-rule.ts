// Requirements of methods and routes on their callers, and the check of a call against them.
import { type Acr, isAcr } from '../domain/acr.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import { isMaxAge } from '../domain/required-strength.ts';
import { unmetReason } from '../domain/requirement.ts';
import { isRole } from '../domain/role.ts';
import type { Latchkey } from './latchkey.ts';
import { presentedToken } from './presented-token.ts';

const ACCESS = ['required', 'optional', 'public'] as const;
export type Access = (typeof ACCESS)[number];

export type AccessRule = {
  /**
   * `required` (default): a valid token. `optional`: anonymous without a token, rejected with an invalid one. `public`:
   * the token is not read, and the caller is anonymous.
   */
  access?: Access;
  /** A role that the caller must hold. */
  role?: string;
  /**
   * The strength that the user's authentication must have at least: `pwd` (one factor), `mfa` (two) or `phr` (a passkey).
   * A service never has it.
   */
  acr?: Acr;
  /** The greatest age of the user's authentication, in seconds, at most 31,536,000. A service never meets it. */
  maxAgeSeconds?: number;
  /** Only users, or only services. */
  kind?: TokenPrincipal['kind'];
  /** The `aud` claim must contain it. Default: `audience` of createLatchkey. */
  audience?: string;
  /** Whether an API key may stand in the place of a token. Default: that of createLatchkey. */
  acceptApiKeys?: boolean;
};

/** `'public'` is short for `{ access: 'public' }`. */
export type AccessRules = Readonly<Record<string, AccessRule | Access>>;

export const REQUIRED: AccessRule = { access: 'required' };

const CHECKS: { [Name in keyof Required<AccessRule>]: (value: unknown) => boolean } = {
  access: (value) => ACCESS.some((one) => one === value),
  role: (value) => typeof value === 'string' && isRole(value),
  acr: (value) => typeof value === 'string' && isAcr(value),
  maxAgeSeconds: (value) => typeof value === 'number' && isMaxAge(value),
  kind: (value) => value === 'user' || value === 'service',
  audience: (value) => typeof value === 'string' && value !== '',
  acceptApiKeys: (value) => typeof value === 'boolean',
};

/**
 * Unknown names are rejected: a misspelt `role` must not open a method.
 * @throws TypeError
 */
export function parseRule(key: string, given: AccessRule | Access): AccessRule {
  if (typeof given !== 'string' && (typeof given !== 'object' || given === null)) invalid(key, 'is no rule');
  const rule: AccessRule = typeof given === 'string' ? { access: given } : { ...given };
  for (const [name, value] of Object.entries(rule)) {
    if (!Object.hasOwn(CHECKS, name)) invalid(key, `${name} is not one of ${Object.keys(CHECKS).join(', ')}`);
    if (!CHECKS[name as keyof AccessRule](value)) invalid(key, `${name} is invalid`);
  }
  const { access = 'required', role, acr, maxAgeSeconds, kind, audience, acceptApiKeys } = rule;
  if (access !== 'required' && role !== undefined) invalid(key, `a role requires the access required, not ${access}`);
  const hasStrength = (acr ?? maxAgeSeconds) !== undefined;
  if (access !== 'required' && hasStrength)
    invalid(key, `acr and maxAgeSeconds require the access required, not ${access}`);
  if (kind === 'service' && hasStrength) invalid(key, 'a service has neither acr nor maxAgeSeconds');
  if (access === 'public' && (kind ?? audience ?? acceptApiKeys) !== undefined)
    invalid(key, 'public allows no other requirement');
  return rule;
}

export function invalid(key: string, problem: string): never {
  throw new TypeError(`rules: ${JSON.stringify(key)}: ${problem}`);
}

/**
 * Null for an anonymous caller.
 * @param authorizations the values of the request's `authorization` headers
 * @throws AuthError as `verify`; PERMISSION_DENIED, ROLE_NOT_GRANTED
 */
export async function checkCall(
  latchkey: Pick<Latchkey, 'verify'>,
  { access, role, kind, ...options }: AccessRule,
  authorizations: string[],
): Promise<TokenPrincipal | null> {
  if (access === 'public') return null;
  const token = presentedToken(authorizations);
  if (token === '' && access === 'optional') return null;
  const principal = await latchkey.verify(token, options);
  if (kind !== undefined && unmetReason({ kind }, principal) !== null) throw new AuthError('PERMISSION_DENIED');
  if (role !== undefined) requireRole(principal, role);
  return principal;
}

/**
 * For a requirement that depends on the request. The interceptors and the middleware answer with PERMISSION_DENIED
 * (HTTP 403) and the reason.
 * @throws AuthError ROLE_NOT_GRANTED; CREDENTIALS_MISSING for an anonymous caller
 */
export function requireRole(principal: TokenPrincipal | null, role: string): void {
  // Without types, an unset role would mean any role.
  if (typeof role !== 'string' || !isRole(role)) throw new TypeError(`${JSON.stringify(role)} is no name of a role`);
  if (!principal) throw new AuthError('CREDENTIALS_MISSING');
  if (unmetReason({ role }, principal) !== null) throw new AuthError('ROLE_NOT_GRANTED', { requiredRole: role });
}
