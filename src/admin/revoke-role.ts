import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseRole } from '../domain/role.ts';
import { assertMayGrant } from './authorize-admin.ts';
import { auditedGrant, type HolderInput, holderOf, holderParsers, unknownHolder } from './role-holder.ts';

export type RevokeRoleInput = HolderInput & { actor: Actor; role: string; reason: string };

/** @throws AuthError USER_NOT_FOUND, SERVICE_ACCOUNT_NOT_FOUND, ROLE_NOT_FOUND, ROLE_NOT_HELD or GRANT_NOT_ALLOWED */
export async function revokeRole(
  deps: Pick<Deps, 'store' | 'revocationFeed' | 'now'>,
  { actor, ...input }: RevokeRoleInput,
  { origin }: Call,
): Promise<void> {
  const { role, reason } = parseFields({
    ...holderParsers(input),
    role: () => parseRole(input.role),
    reason: () => parseReason(input.reason),
  });
  const holder = holderOf(input);
  const revoked = await deps.store.roles.revoke(
    { holder, role },
    {
      actor,
      at: deps.now(),
      decide: (authority) => assertMayGrant(authority, role),
      effects: (before) => [
        audit({
          type: 'role_revoked',
          actor: actorName(actor),
          ...auditedGrant(holder, role),
          detail: reason,
          origin,
          before,
          after: null,
        }),
      ],
    },
  );
  if (revoked === 'unknown') throw new AuthError(unknownHolder(holder));
  if (revoked === 'unheld') throw new AuthError('ROLE_NOT_HELD');
  await deps.revocationFeed.catchUp();
}
