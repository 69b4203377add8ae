import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import { parseUuid } from '../domain/uuid.ts';
import { type PresenceDeps, provePresence } from './prove-presence.ts';

export type UnlinkIdentityInput = { principal: UserPrincipal; identityId: string; currentPassword: string };

/** @throws AuthError IDENTITY_NOT_FOUND; LAST_SIGN_IN_METHOD when nobody could sign in any more */
export async function unlinkIdentity(
  deps: PresenceDeps & Pick<Deps, 'store'>,
  input: UnlinkIdentityInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  const { identity_id: id } = parseFields({ identity_id: () => parseUuid(input.identityId) });
  await provePresence(deps, input.principal, input.currentPassword, call);
  const unlinked = await deps.store.identities.unlink(userId, id, deps.now(), [
    audit({ type: 'identity_unlinked', userId, sessionId, origin: call.origin }),
  ]);
  if (unlinked === 'unknown') throw new AuthError('IDENTITY_NOT_FOUND');
  if (unlinked === 'last') throw new AuthError('LAST_SIGN_IN_METHOD');
}
