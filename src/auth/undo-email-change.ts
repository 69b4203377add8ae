import type { Deps } from '../deps.ts';
import { accountHashes } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect, mail } from '../domain/effect.ts';
import { parseMailedToken, UNDO_TOKEN } from '../domain/mailed-token.ts';
import { networkOf } from '../domain/networks.ts';
import type { UndoneChange } from '../store/email-changes.ts';
import { enforceLimits } from './enforce-limits.ts';

export type UndoEmailChangeInput = { undoToken: string };

/** @throws AuthError UNDO_TOKEN_INVALID */
export async function undoEmailChange(
  deps: Pick<Deps, 'store' | 'revocationFeed' | 'limiter' | 'knownNetworks' | 'purposeKeys' | 'now'>,
  { undoToken }: UndoEmailChangeInput,
  call: Call,
): Promise<void> {
  const { purposeKeys, knownNetworks } = deps;
  const id = parseMailedToken(UNDO_TOKEN, undoToken, purposeKeys.undoTokens);
  if (!id) {
    await enforceLimits(deps, { attempts: [{ limit: 'UNDO_EMAIL_CHANGE_NETWORK' }] }, call);
    throw new AuthError('UNDO_TOKEN_INVALID');
  }
  await enforceLimits(deps, { attempts: [{ limit: 'UNDO_EMAIL_CHANGE_TOKEN', key: id }] }, call);
  const undone = await deps.store.emailChanges.undo(id, deps.now(), (change) => effectsOf(change, call));
  if (!undone) throw new AuthError('UNDO_TOKEN_INVALID');
  // The networks of a thief who signed in must not remain known.
  const addresses = undone.replaced ? [undone.restored, undone.replaced] : [undone.restored];
  const accounts = addresses.flatMap((email) => accountHashes(email, purposeKeys.accountHash));
  await Promise.all([
    deps.revocationFeed.catchUp(),
    ...accounts.map((account) => knownNetworks.forget(account, { allBut: networkOf(call.origin.address) })),
  ]);
}

function effectsOf({ userId, restored, replaced, unlinked, removedFactors }: UndoneChange, { origin }: Call): Effect[] {
  return [
    audit({ type: 'email_change_undone', userId, origin }),
    ...unlinked.map((provider) => audit({ type: 'identity_unlinked', userId, detail: provider, origin })),
    ...removedFactors.map(({ id, kind }) =>
      audit({ type: 'factor_removed', userId, target: `factor:${id}`, detail: kind, origin }),
    ),
    mail({ template: 'password-reset', email: restored, cause: 'password-void' }),
    ...(replaced ? [mail({ template: 'email-change-undone', userId, email: replaced })] : []),
  ];
}
