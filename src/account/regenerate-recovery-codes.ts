import { recoveryCodesFor } from '../auth/new-factor.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import type { UserCaller } from '../domain/principal.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';
import { countChange } from './count-change.ts';
import { limitNotices } from './notice-attempts.ts';

export type RegenerateRecoveryCodesInput = { principal: UserCaller; currentPassword: string };

/** @returns the new codes, in the form to show @throws AuthError FACTOR_MISSING */
export async function regenerateRecoveryCodes(
  deps: ReauthenticationDeps & Pick<Deps, 'purposeKeys'>,
  input: RegenerateRecoveryCodesInput,
  call: Call,
): Promise<string[]> {
  const { userId, sessionId } = input.principal;
  await countChange(deps, input.principal, call);
  const { user, owner } = await assertReauthenticated(deps, input, call);
  await limitNotices(deps, user, call);
  const { codes, macs } = recoveryCodesFor(userId, deps);
  const isReplaced = await deps.store.factors.replaceRecoveryCodes(owner, macs, {
    at: deps.now(),
    effects: [
      audit({ type: 'recovery_codes_created', userId, sessionId, origin: call.origin }),
      mail({ template: 'recovery-codes-created', userId, email: user.email }),
    ],
  });
  if (!isReplaced) throw new AuthError('FACTOR_MISSING');
  return codes;
}
