import type { Deps } from '../deps.ts';
import { parseAcr } from '../domain/acr.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseLine, parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { ADMIN_ROLE, parseRole } from '../domain/role.ts';
import { type RoleDefinition, wouldCircle, wouldFit } from '../domain/role-graph.ts';
import { assertMayDefine } from './authorize-admin.ts';

/** An empty granter or strength leaves it as it was. */
type GivenRole = Omit<RoleDefinition, 'requiredAcr'> & { requiredAcr: string };
export type DefineRoleInput = { actor: Actor; role: GivenRole; reason: string };

const MAX_IMPLIED = 32;

/** @throws AuthError ROLE_NOT_FOUND, ROLE_CIRCLE, TOO_MANY_ROLES, GRANT_NOT_ALLOWED or STEP_UP_REQUIRED */
export async function defineRole(
  deps: Pick<Deps, 'store' | 'revocationFeed' | 'reauthenticationSeconds' | 'now'>,
  { actor, role: given, ...input }: DefineRoleInput,
  { origin }: Call,
): Promise<void> {
  const { reason, required_acr, ...parsed } = parseFields({
    name: () => parseRole(given.name),
    description: () => parseLine(given.description),
    implies: () => parseImplied(given.implies),
    granter: () => (given.granter === '' ? '' : parseRole(given.granter)),
    required_acr: () => parseAcr(given.requiredAcr),
    reason: () => parseReason(input.reason),
  });
  const role: RoleDefinition = { ...parsed, requiredAcr: required_acr ?? 'pwd' };
  await deps.store.roles.define(role, {
    // A role that another role implies is held without a grant.
    actor: requireReauthentication(actor, deps.reauthenticationSeconds),
    at: deps.now(),
    decide: ({ graph, ...authority }) => {
      const former = graph.get(role.name);
      role.granter ||= former?.granter ?? ADMIN_ROLE;
      role.requiredAcr = required_acr ?? former?.requiredAcr ?? 'pwd';
      const others = [...role.implies, role.granter].filter((name) => name !== role.name);
      if (!others.every((name) => graph.has(name))) throw new AuthError('ROLE_NOT_FOUND');
      if (wouldCircle(graph, role.name, role.implies)) throw new AuthError('ROLE_CIRCLE');
      assertMayDefine({ graph, ...authority }, role);
      if (!wouldFit(graph, role)) throw new AuthError('TOO_MANY_ROLES');
    },
    effects: (before) => [
      audit({
        type: 'role_defined',
        actor: actorName(actor),
        target: `role:${role.name}`,
        detail: reason,
        origin,
        before,
        after: role,
      }),
    ],
  });
  await deps.revocationFeed.catchUp();
}

function parseImplied(names: string[]): string[] {
  if (names.length > MAX_IMPLIED) throw new InvalidValue(`must be at most ${MAX_IMPLIED}`);
  return [...new Set(names.map(parseRole))];
}
