import { type OAuthResponse, redeemOAuthResponse, rejectOAuth } from '../auth/redeem-oauth-response.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import type { UserCaller } from '../domain/principal.ts';
import { countChange } from './count-change.ts';

export type FinishLinkIdentityInput = OAuthResponse & { principal: UserCaller };

/** @throws AuthError IDENTITY_TAKEN, TOO_MANY_IDENTITIES, or as redeemOAuthResponse, also for another user's flow */
export async function finishLinkIdentity(
  deps: Pick<Deps, 'store' | 'limiter' | 'providers' | 'purposeKeys' | 'now' | 'newId'>,
  input: FinishLinkIdentityInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  const linking = { userId, sessionId };
  await countChange(deps, input.principal, call);
  const { provider, identity } = await redeemOAuthResponse(deps, input, linking, call);
  const { issuer, subject } = identity;
  const newIdentity = { id: deps.newId(), provider, issuer, subject };
  // Read after the provider has answered: the session may have ended, and the password may have changed.
  const found = await deps.store.users.credentialsById(userId, call.signal);
  const authentication = await deps.store.sessions.authenticationOf(userId, sessionId, call.signal);
  if (!found || !authentication) throw new AuthError('TOKEN_REVOKED');
  const { email } = found.user;
  const user = { id: userId, email, passwordEpoch: found.passwordEpoch, isOnlyOfIssuer: false };
  const linked = await deps.store.identities.link(user, newIdentity, {
    at: deps.now(),
    effects: [
      audit({ type: 'identity_linked', userId, sessionId, detail: provider, origin: call.origin }),
      mail({ template: 'sign-in-method-added', userId, email, provider }),
    ],
  });
  if (linked === 'taken') return rejectOAuth(deps, { provider, reason: 'IDENTITY_TAKEN', linking }, call);
  if (linked === 'many') return rejectOAuth(deps, { provider, reason: 'TOO_MANY_IDENTITIES', linking }, call);
  if (linked === 'changed') return rejectOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', linking }, call);
}
