import type { Deps } from '../deps.ts';
import { accountHashes } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import type { UserCaller } from '../domain/principal.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';
import { countChange } from './count-change.ts';

export type DeleteMeInput = { principal: UserCaller; currentPassword: string };

/**
 * For good, with everything but the audit trail, which knows the account by its id alone.
 * @throws AuthError EMAIL_CHANGED_RECENTLY
 */
export async function deleteMe(
  deps: ReauthenticationDeps & Pick<Deps, 'revocationFeed' | 'purposeKeys'>,
  input: DeleteMeInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  await countChange(deps, input.principal, call);
  const { user, passwordEpoch } = await assertReauthenticated(deps, input.principal, input.currentPassword, call);
  const removed = await deps.store.users.remove({ userId, sessionId, passwordEpoch }, deps.now(), [
    audit({ type: 'account_deleted', userId, sessionId, origin: call.origin }),
    mail({ template: 'account-deleted', userId, email: user.email }),
  ]);
  if (removed === 'gone') throw new AuthError('TOKEN_REVOKED');
  // A thief who has given the account another address would take the owner's way back with it.
  if (removed === 'undoable') throw new AuthError('EMAIL_CHANGED_RECENTLY');
  const accounts = accountHashes(user.email, deps.purposeKeys.accountHash);
  await Promise.all([
    deps.revocationFeed.catchUp(),
    ...accounts.map((account) => deps.limiter.forgetNetworks(account, { allBut: null })),
  ]);
}
