import type { Deps } from '../deps.ts';
import { accountHash, accountHashes } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseMailedToken, RESET_TOKEN } from '../domain/mailed-token.ts';
import { networkOf } from '../domain/networks.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseNewPassword } from '../domain/password.ts';
import { noteForLog } from '../process/log-context.ts';
import { enforceLimits } from './enforce-limits.ts';
import { rejectBreached } from './reject-breached.ts';
import { rejectMailedToken } from './reject-mailed-token.ts';

export type ConfirmResetInput = { resetToken: string; newPassword: string };

/** @throws AuthError RESET_TOKEN_INVALID */
export async function confirmReset(
  deps: Pick<
    Deps,
    | 'store'
    | 'revocationFeed'
    | 'limiter'
    | 'knownNetworks'
    | 'hasher'
    | 'passwordPolicy'
    | 'isBreached'
    | 'purposeKeys'
    | 'now'
  >,
  input: ConfirmResetInput,
  call: Call,
): Promise<void> {
  const { store, knownNetworks, hasher, now } = deps;
  const network = networkOf(call.origin.address);
  const resetId = parseMailedToken(RESET_TOKEN, input.resetToken, deps.purposeKeys.resetTokens);
  if (!resetId) {
    await enforceLimits(deps, { attempts: [{ limit: 'CONFIRM_RESET_NETWORK' }] }, call);
    throw new AuthError('RESET_TOKEN_INVALID');
  }
  await enforceLimits(deps, { attempts: [{ limit: 'CONFIRM_RESET_TOKEN', key: resetId }] }, call);
  const reset = await store.resets.byId(resetId, now(), call.signal);
  if (!reset) return rejectMailedToken(deps, 'reset', resetId);
  noteForLog({ user_id: reset.userId });
  const { new_password: password } = parseFields({
    new_password: () => parseNewPassword(input.newPassword, deps.passwordPolicy, [reset.email, reset.fullName]),
  });

  await rejectBreached(deps, 'new_password', password);
  const passwordHash = await hasher.hash(password, call.signal);
  const { userId } = reset;
  const redeemed = await store.resets.redeem(reset, passwordHash, {
    at: now(),
    effects: [
      audit({ type: 'reset_done', userId, origin: call.origin }),
      mail({ template: 'password-reset-done', userId, email: reset.email }),
    ],
  });
  if (!redeemed) return rejectMailedToken(deps, 'reset', resetId);

  // The caller is the owner: attempts of strangers must not block them, and a thief's networks are forgotten.
  const account = accountHash(reset.email, deps.purposeKeys.accountHash);
  await Promise.all(
    accountHashes(reset.email, deps.purposeKeys.accountHash).map((hash) =>
      knownNetworks.forget(hash, { allBut: network }),
    ),
  );
  await Promise.all([
    deps.revocationFeed.catchUp(),
    deps.limiter.clear('LOGIN_ACCOUNT', account),
    knownNetworks.remember(account, network),
  ]);
}
