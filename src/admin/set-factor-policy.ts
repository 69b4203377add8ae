import type { Deps } from '../deps.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { type FactorPolicy, parseGraceSeconds, parsePolicyScope } from '../domain/factor-policy.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { parseRole } from '../domain/role.ts';

export type SetFactorPolicyInput = {
  actor: Actor;
  scope: string;
  roles: string[];
  graceSeconds: number;
  reason: string;
};

const MAX_ROLES = 32;

/** @throws AuthError ROLE_NOT_FOUND */
export async function setFactorPolicy(
  { store, reauthenticationSeconds, now }: Pick<Deps, 'store' | 'reauthenticationSeconds' | 'now'>,
  { actor, ...input }: SetFactorPolicyInput,
  { origin }: Call,
): Promise<void> {
  const { reason, grace_seconds, ...parsed } = parseFields({
    scope: () => parsePolicyScope(input.scope),
    roles: () => parseRolesOf(input.scope, input.roles),
    grace_seconds: () => parseGraceSeconds(input.graceSeconds),
    reason: () => parseReason(input.reason),
  });
  const policy: FactorPolicy = { ...parsed, graceSeconds: grace_seconds };
  await store.factorPolicies.set(policy, {
    actor: requireReauthentication(actor, reauthenticationSeconds),
    at: now(),
    decide: ({ graph }) => {
      if (!policy.roles.every((name) => graph.has(name))) throw new AuthError('ROLE_NOT_FOUND');
    },
    effects: (before) => [
      audit({
        ...{ type: 'factor_policy_changed', actor: actorName(actor), detail: reason, origin },
        ...{ before, after: policy },
      }),
    ],
  });
}

function parseRolesOf(scope: string, names: string[]): string[] {
  if (scope !== 'roles') return names.length === 0 ? [] : invalid('must be empty unless the scope is roles');
  if (names.length === 0 || names.length > MAX_ROLES) invalid(`must have 1 to ${MAX_ROLES} names for the scope roles`);
  return [...new Set(names.map(parseRole))].sort();
}
