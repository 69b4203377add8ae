import { InvalidValue } from './parse-fields.ts';

/** Stored: a word never changes its meaning. */
const SCOPES = ['none', 'roles', 'all'] as const;
export type FactorPolicyScope = (typeof SCOPES)[number];

export type FactorPolicy = {
  scope: FactorPolicyScope;
  /** Sorted. Empty unless the scope is `roles`. */
  roles: string[];
  graceSeconds: number;
};

/** For messages and the help of commands. */
export const POLICY_SCOPE_FORM = `one of ${SCOPES.map((scope) => `'${scope}'`).join(', ')}`;

const MAX_GRACE_SECONDS = 31_536_000;

/** @throws InvalidValue */
export function parsePolicyScope(text: string): FactorPolicyScope {
  const scope = SCOPES.find((one) => one === text);
  if (scope === undefined) throw new InvalidValue(`must be ${POLICY_SCOPE_FORM}`);
  return scope;
}

/** @throws InvalidValue */
export function parseGraceSeconds(seconds: number): number {
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= MAX_GRACE_SECONDS) return seconds;
  throw new InvalidValue(`must be 0 to ${MAX_GRACE_SECONDS}`);
}
