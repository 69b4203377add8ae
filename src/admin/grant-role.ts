import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseReason } from '../domain/reason.ts';
import { parseRole } from '../domain/role.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertMayGrant } from './may.ts';

export type GrantRoleInput = { actor: Actor; userId: string; role: string; reason: string; expiresAt: Date | null };

/** @throws AuthError USER_NOT_FOUND, ROLE_NOT_FOUND or GRANT_NOT_ALLOWED */
export async function grantRole(
  deps: Pick<Deps, 'store' | 'changeFeed' | 'now'>,
  { actor, expiresAt, ...input }: GrantRoleInput,
  { origin }: Call,
): Promise<void> {
  const now = deps.now();
  const fields = parseFields({
    user_id: () => parseUuid(input.userId),
    role: () => parseRole(input.role),
    reason: () => parseReason(input.reason),
    expires_at: () => (expiresAt && expiresAt <= now ? notInThePast() : expiresAt),
  });
  const { user_id: userId, role, reason } = fields;
  const grant = { userId, role, reason, expiresAt };
  const granted = await deps.store.roles.grant(
    grant,
    actor,
    now,
    (judged) => assertMayGrant(judged, role),
    (before) => [
      audit({
        ...{ type: 'role_granted', actor: actorName(actor), userId, target: `role:${role}`, detail: reason, origin },
        ...{ before, after: { role, expiresAt } },
      }),
    ],
  );
  if (granted === 'unknown') throw new AuthError('USER_NOT_FOUND');
  await deps.changeFeed.catchUp();
}

function notInThePast(): never {
  throw new InvalidValue('must be in the future');
}
