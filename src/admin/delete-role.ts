import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { ADMIN_ROLE, parseRole, USER_ROLE } from '../domain/role.ts';
import { assertMayGrant } from './may.ts';

export type DeleteRoleInput = { actor: Actor; name: string };

/** @throws AuthError ROLE_NOT_FOUND, ROLE_IN_USE or GRANT_NOT_ALLOWED */
export async function deleteRole(
  deps: Pick<Deps, 'store' | 'now'>,
  { actor, name: given }: DeleteRoleInput,
  { origin }: Call,
): Promise<void> {
  const { name } = parseFields({ name: () => parseRole(given) });
  if ([USER_ROLE, ADMIN_ROLE].includes(name)) throw new AuthError('ROLE_IN_USE');
  const removed = await deps.store.roles.remove(
    name,
    actor,
    deps.now(),
    (judged) => assertMayGrant(judged, name),
    (before) => [audit({ type: 'role_deleted', actor: actorName(actor), target: `role:${name}`, before, origin })],
  );
  if (removed === 'unknown') throw new AuthError('ROLE_NOT_FOUND');
  if (removed === 'used') throw new AuthError('ROLE_IN_USE');
}
