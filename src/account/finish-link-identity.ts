import { type OAuthResponse, refuseOAuth, takeOAuthResponse } from '../auth/take-oauth-response.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import type { UserCaller } from '../domain/principal.ts';
import { countChange } from './count-change.ts';

export type FinishLinkIdentityInput = OAuthResponse & { principal: UserCaller };

/** @throws AuthError as takeOAuthResponse, also when another user has begun it; IDENTITY_TAKEN, TOO_MANY_IDENTITIES */
export async function finishLinkIdentity(
  deps: Pick<Deps, 'store' | 'limiter' | 'providers' | 'purposeKeys' | 'now' | 'newId'>,
  input: FinishLinkIdentityInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  const linking = { userId, sessionId };
  await countChange(deps, input.principal, call);
  const { provider, identity } = await takeOAuthResponse(deps, input, linking, call);
  const { issuer, subject } = identity;
  const added = { id: deps.newId(), provider, issuer, subject };
  // After the provider has answered, which takes a while: the session may have ended, and the password changed.
  const found = await deps.store.users.credentialsById(userId, call.signal);
  const isLive = await deps.store.sessions.authenticationOf(userId, sessionId, call.signal);
  if (!found || !isLive) throw new AuthError('TOKEN_REVOKED');
  const { email } = found.user;
  const user = { id: userId, email, passwordEpoch: found.passwordEpoch, isOnlyOfIssuer: false };
  const linked = await deps.store.identities.link(user, added, deps.now(), [
    audit({ type: 'identity_linked', userId, sessionId, detail: provider, origin: call.origin }),
    mail({ template: 'sign-in-method-added', userId, email, provider }),
  ]);
  if (linked === 'taken') return refuseOAuth(deps, { provider, reason: 'IDENTITY_TAKEN', linking }, call);
  if (linked === 'many') return refuseOAuth(deps, { provider, reason: 'TOO_MANY_IDENTITIES', linking }, call);
  if (linked === 'changed') return refuseOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', linking }, call);
}
