import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserCaller } from '../domain/principal.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';
import { countChange } from './count-change.ts';

export type UnlinkIdentityInput = { principal: UserCaller; identityId: string; currentPassword: string };

/**
 * Revokes the other sessions that were started with the identity.
 * @throws AuthError IDENTITY_NOT_FOUND, or LAST_SIGN_IN_METHOD when no way to sign in would remain
 */
export async function unlinkIdentity(
  deps: ReauthenticationDeps & Pick<Deps, 'revocationFeed' | 'providers'>,
  input: UnlinkIdentityInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  const { identity_id: id } = parseFields({ identity_id: () => parseUuid(input.identityId) });
  await countChange(deps, input.principal, call);
  const { user, owner } = await assertReauthenticated(deps, input, call);
  const configured = [...deps.providers.keys()];
  const outcome = await deps.store.identities.unlink(owner, id, {
    usable: configured,
    at: deps.now(),
    effects: ({ provider }) => [
      audit({ type: 'identity_unlinked', userId, sessionId, detail: provider, origin: call.origin }),
      mail({ template: 'sign-in-method-removed', userId, email: user.email, provider }),
    ],
  });
  if (outcome === 'changed') throw new AuthError('TOKEN_REVOKED');
  if (outcome === 'unknown') throw new AuthError('IDENTITY_NOT_FOUND');
  if (outcome === 'last') throw new AuthError('LAST_SIGN_IN_METHOD');
  await deps.revocationFeed.catchUp();
}
