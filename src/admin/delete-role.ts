import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { BUILT_IN_ROLES, parseRole } from '../domain/role.ts';
import { assertMayGrant } from './authorize-admin.ts';

export type DeleteRoleInput = { actor: Actor; name: string; reason: string };

/** @throws AuthError ROLE_NOT_FOUND, ROLE_IN_USE or GRANT_NOT_ALLOWED */
export async function deleteRole(
  deps: Pick<Deps, 'store' | 'now'>,
  { actor, ...input }: DeleteRoleInput,
  { origin }: Call,
): Promise<void> {
  const { name, reason } = parseFields({
    name: () => parseRole(input.name),
    reason: () => parseReason(input.reason),
  });
  if (BUILT_IN_ROLES.includes(name)) throw new AuthError('ROLE_IN_USE');
  const removed = await deps.store.roles.remove(name, {
    actor,
    at: deps.now(),
    decide: (authority) => assertMayGrant(authority, name),
    effects: (before) => [
      audit({
        type: 'role_deleted',
        actor: actorName(actor),
        target: `role:${name}`,
        detail: reason,
        origin,
        before,
        after: null,
      }),
    ],
  });
  if (removed === 'unknown') throw new AuthError('ROLE_NOT_FOUND');
  if (removed === 'used') throw new AuthError('ROLE_IN_USE');
}
