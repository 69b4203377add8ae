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
 * Ends the sessions that were begun with it, but not the one that asks.
 * @throws AuthError IDENTITY_NOT_FOUND; LAST_SIGN_IN_METHOD when nobody could sign in any more
 */
export async function unlinkIdentity(
  deps: ReauthenticationDeps & Pick<Deps, 'revocationFeed' | 'providers'>,
  input: UnlinkIdentityInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  const { identity_id: id } = parseFields({ identity_id: () => parseUuid(input.identityId) });
  await countChange(deps, input.principal, call);
  const { user, passwordEpoch } = await assertReauthenticated(deps, input.principal, input.currentPassword, call);
  const present = { userId, sessionId, passwordEpoch };
  const usable = [...deps.providers.keys()];
  const unlinked = await deps.store.identities.unlink(present, id, usable, deps.now(), ({ provider }) => [
    audit({ type: 'identity_unlinked', userId, sessionId, detail: provider, origin: call.origin }),
    mail({ template: 'sign-in-method-removed', userId, email: user.email, provider }),
  ]);
  if (unlinked === 'changed') throw new AuthError('TOKEN_REVOKED');
  if (unlinked === 'unknown') throw new AuthError('IDENTITY_NOT_FOUND');
  if (unlinked === 'last') throw new AuthError('LAST_SIGN_IN_METHOD');
  await deps.revocationFeed.catchUp();
}
