import type { Deps } from '../deps.ts';
import { accountHashes } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import type { UserCaller } from '../domain/principal.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';
import { countChange } from './count-change.ts';

export type DeleteMeInput = { principal: UserCaller; currentPassword: string };

/** The audit trail keeps the id of the account and no personal data. @throws AuthError EMAIL_CHANGED_RECENTLY */
export async function deleteMe(
  deps: ReauthenticationDeps & Pick<Deps, 'revocationFeed' | 'knownNetworks' | 'purposeKeys'>,
  input: DeleteMeInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  await countChange(deps, input.principal, call);
  const { user, owner } = await assertReauthenticated(deps, input, call);
  const outcome = await deps.store.users.remove(owner, deps.now(), [
    audit({ type: 'account_deleted', userId, sessionId, origin: call.origin }),
    mail({ template: 'account-deleted', userId, email: user.email }),
  ]);
  if (outcome === 'gone') throw new AuthError('TOKEN_REVOKED');
  // Deletion would destroy the owner's way back after a thief has changed the address.
  if (outcome === 'undoable') throw new AuthError('EMAIL_CHANGED_RECENTLY');
  const accounts = accountHashes(user.email, deps.purposeKeys.accountHash);
  await Promise.all([
    deps.revocationFeed.catchUp(),
    ...accounts.map((account) => deps.knownNetworks.forget(account, { allBut: null })),
  ]);
}
