import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { NETWORK_TOKEN, parseMailedToken } from '../domain/mailed-token.ts';
import { networkOf } from '../domain/networks.ts';
import { throttle } from './throttle.ts';

export type ConfirmNetworkInput = { networkToken: string };

/**
 * The owner of an account shows by a mailed token that the caller's network is theirs: strangers who use up LOGIN_ACCOUNT no longer
 * keep them out there. The password is still required.
 * @throws AuthError NETWORK_TOKEN_INVALID
 */
export async function confirmNetwork(
  deps: Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now'>,
  input: ConfirmNetworkInput,
  call: Call,
): Promise<void> {
  const network = networkOf(call.origin.address);
  const id = parseMailedToken(NETWORK_TOKEN, input.networkToken, deps.purposeKeys.networkTokens);
  if (!id) {
    await throttle(deps, [{ limit: 'CONFIRM_NETWORK_NETWORK' }], {}, call);
    throw new AuthError('NETWORK_TOKEN_INVALID');
  }
  await throttle(deps, [{ limit: 'CONFIRM_NETWORK_TOKEN', key: id }], {}, call);
  const confirmed = await deps.store.networkConfirmations.redeem(id, deps.now(), ({ userId }) => [
    audit({ type: 'network_confirmed', userId, origin: call.origin }),
  ]);
  if (!confirmed) throw new AuthError('NETWORK_TOKEN_INVALID');
  await deps.limiter.rememberPlace(accountHash(confirmed.email, deps.purposeKeys.accountHash), network);
}
