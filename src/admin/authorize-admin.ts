// The rule of who may give what, and to whom, as verbs ask it inside the transaction that acts on it.
import { AuthError } from '../domain/auth-error.ts';
import { mayDefine, mayGrant, type RoleDefinition } from '../domain/role-graph.ts';
import type { Authority } from '../store/authority.ts';

/** @throws AuthError ROLE_NOT_FOUND or GRANT_NOT_ALLOWED */
export function assertMayGrant({ graph, actorRoles }: Authority, role: string): void {
  if (!graph.has(role)) throw new AuthError('ROLE_NOT_FOUND');
  if (actorRoles && !mayGrant(graph, actorRoles, role)) throw new AuthError('GRANT_NOT_ALLOWED');
}

/** @throws AuthError GRANT_NOT_ALLOWED */
export function assertMayDefine({ graph, actorRoles }: Authority, role: RoleDefinition): void {
  if (actorRoles && !mayDefine(graph, actorRoles, role)) throw new AuthError('GRANT_NOT_ALLOWED');
}

/**
 * Whoever may not take the roles of somebody may not take their account either.
 * @throws AuthError GRANT_NOT_ALLOWED
 */
export function assertMayAdminister({ graph, actorRoles }: Authority, theirRoles: readonly string[]): void {
  if (actorRoles && !theirRoles.every((role) => mayGrant(graph, actorRoles, role)))
    throw new AuthError('GRANT_NOT_ALLOWED');
}
