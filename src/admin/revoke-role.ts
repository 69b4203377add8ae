import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseReason } from '../domain/reason.ts';
import { parseRole } from '../domain/role.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertMayGrant } from './may.ts';

export type RevokeRoleInput = { actor: Actor; userId: string; role: string; reason: string };

/** @throws AuthError USER_NOT_FOUND, ROLE_NOT_FOUND, ROLE_NOT_HELD or GRANT_NOT_ALLOWED */
export async function revokeRole(
  deps: Pick<Deps, 'store' | 'changeFeed' | 'now'>,
  { actor, ...input }: RevokeRoleInput,
  { origin }: Call,
): Promise<void> {
  const fields = parseFields({
    user_id: () => parseUuid(input.userId),
    role: () => parseRole(input.role),
    reason: () => parseReason(input.reason),
  });
  const { user_id: userId, role, reason } = fields;
  const revoked = await deps.store.roles.revoke(
    { userId, role },
    actor,
    deps.now(),
    (judged) => assertMayGrant(judged, role),
    (before) => [
      audit({
        ...{ type: 'role_revoked', actor: actorName(actor), userId, target: `role:${role}`, detail: reason, origin },
        ...{ before, after: null },
      }),
    ],
  );
  if (revoked === 'unknown') throw new AuthError('USER_NOT_FOUND');
  if (revoked === 'unheld') throw new AuthError('ROLE_NOT_HELD');
  await deps.changeFeed.catchUp();
}
