// The folder admin owns the use cases of AdminService, for administrators and for operators on the command line. It
// must not change anything without an actor, a reason and an audit event. These rules on roles run inside the
// transaction that acts on them.
import { reaches, strongerOf } from '../domain/acr.ts';
import { AuthError } from '../domain/auth-error.ts';
import { mayDefine, mayGrant, type RoleDefinition } from '../domain/role-graph.ts';
import type { Authority } from '../store/authority.ts';

/** @throws AuthError ROLE_NOT_FOUND or GRANT_NOT_ALLOWED */
export function assertMayGrant({ graph, actorRoles }: Authority, role: string): void {
  if (!graph.has(role)) throw new AuthError('ROLE_NOT_FOUND');
  if (actorRoles && !mayGrant(graph, actorRoles, role)) throw new AuthError('GRANT_NOT_ALLOWED');
}

/**
 * The actor's session must reach the strength that the role requires before and after the change. So at least one
 * administrator can still use the role.
 * @throws AuthError GRANT_NOT_ALLOWED or STEP_UP_REQUIRED
 */
export function assertMayDefine({ graph, actorRoles, actorAcr }: Authority, role: RoleDefinition): void {
  if (actorRoles && !mayDefine(graph, actorRoles, role)) throw new AuthError('GRANT_NOT_ALLOWED');
  const former = graph.get(role.name)?.requiredAcr ?? 'pwd';
  const acr = strongerOf(former, role.requiredAcr);
  if (actorAcr && role.requiredAcr !== former && !reaches(actorAcr, acr)) {
    throw new AuthError('STEP_UP_REQUIRED', { required: { acr, maxAgeSeconds: null } });
  }
}

/** An administrator must be able to revoke every role of the account. @throws AuthError GRANT_NOT_ALLOWED */
export function assertMayAdminister({ graph, actorRoles }: Authority, theirRoles: readonly string[]): void {
  if (actorRoles && !theirRoles.every((role) => mayGrant(graph, actorRoles, role)))
    throw new AuthError('GRANT_NOT_ALLOWED');
}
