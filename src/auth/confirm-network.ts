import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { NETWORK_TOKEN, parseMailedToken } from '../domain/mailed-token.ts';
import { networkOf } from '../domain/networks.ts';
import { noteForLog } from '../process/log-context.ts';
import { enforceLimits } from './enforce-limits.ts';
import { rejectMailedToken } from './reject-mailed-token.ts';

export type ConfirmNetworkInput = { networkToken: string };

/**
 * Strangers who use up LOGIN_ACCOUNT then no longer block the owner on this network. The password is still required.
 * @throws AuthError NETWORK_TOKEN_INVALID
 */
export async function confirmNetwork(
  deps: Pick<Deps, 'store' | 'limiter' | 'knownNetworks' | 'purposeKeys' | 'now'>,
  input: ConfirmNetworkInput,
  call: Call,
): Promise<void> {
  const network = networkOf(call.origin.address);
  const id = parseMailedToken(NETWORK_TOKEN, input.networkToken, deps.purposeKeys.networkTokens);
  if (!id) {
    await enforceLimits(deps, { attempts: [{ limit: 'CONFIRM_NETWORK_NETWORK' }] }, call);
    throw new AuthError('NETWORK_TOKEN_INVALID');
  }
  await enforceLimits(deps, { attempts: [{ limit: 'CONFIRM_NETWORK_TOKEN', key: id }] }, call);
  const confirmed = await deps.store.networkConfirmations.redeem(id, deps.now(), ({ userId }) => [
    audit({ type: 'network_confirmed', userId, origin: call.origin }),
  ]);
  if (!confirmed) return rejectMailedToken(deps, 'network', id);
  noteForLog({ user_id: confirmed.userId });
  await deps.knownNetworks.remember(accountHash(confirmed.email, deps.purposeKeys.accountHash), network);
}
