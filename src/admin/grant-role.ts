import type { Deps } from '../deps.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { parseRole } from '../domain/role.ts';
import { closureOf, fitsIntoToken } from '../domain/role-graph.ts';
import { assertMayGrant } from './authorize-admin.ts';
import { auditedGrant, type HolderInput, holderOf, holderParsers, unknownHolder } from './role-holder.ts';

export type GrantRoleInput = HolderInput & { actor: Actor; role: string; reason: string; expiresAt: Date | null };

/** @throws AuthError USER_NOT_FOUND, SERVICE_ACCOUNT_NOT_FOUND, ROLE_NOT_FOUND, TOO_MANY_ROLES or GRANT_NOT_ALLOWED */
export async function grantRole(
  deps: Pick<Deps, 'store' | 'revocationFeed' | 'reauthenticationSeconds' | 'now'>,
  { actor, expiresAt, ...input }: GrantRoleInput,
  { origin }: Call,
): Promise<void> {
  const now = deps.now();
  const { role, reason } = parseFields({
    ...holderParsers(input),
    role: () => parseRole(input.role),
    reason: () => parseReason(input.reason),
    expires_at: () => expiresAt && expiresAt <= now && invalid('must be in the future'),
  });
  const holder = holderOf(input);
  const granted = await deps.store.roles.grant(
    { holder, role, reason, expiresAt },
    {
      actor: requireReauthentication(actor, deps.reauthenticationSeconds),
      at: now,
      decide: (authority, granted) => {
        assertMayGrant(authority, role);
        const all = [...granted, role].flatMap((one) => [...closureOf(authority.graph, one)]);
        if (!fitsIntoToken(all)) throw new AuthError('TOO_MANY_ROLES');
      },
      effects: (before) => [
        audit({
          type: 'role_granted',
          actor: actorName(actor),
          ...auditedGrant(holder, role),
          detail: reason,
          origin,
          before,
          after: { role, expiresAt },
        }),
      ],
    },
  );
  if (granted === 'unknown') throw new AuthError(unknownHolder(holder));
  await deps.revocationFeed.catchUp();
}
