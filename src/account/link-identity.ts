import { type StartedOAuth, type StartOAuthDeps, type StartOAuthInput, startOAuth } from '../auth/start-oauth.ts';
import { type OAuthResponse, refuseOAuth, takeOAuthResponse } from '../auth/take-oauth-response.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import { type PresenceDeps, provePresence } from './prove-presence.ts';

export type StartLinkIdentityInput = StartOAuthInput & { principal: UserPrincipal; currentPassword: string };
export type FinishLinkIdentityInput = OAuthResponse & { principal: UserPrincipal };

/** Another way into the account wants its owner's presence. */
export async function startLinkIdentity(
  deps: StartOAuthDeps & PresenceDeps,
  input: StartLinkIdentityInput,
  call: Call,
): Promise<StartedOAuth> {
  const { user } = await provePresence(deps, input.principal, input.currentPassword, call);
  // It may be a stranger's address, whose owner would not know of this way in.
  if (!user.emailVerified) throw new AuthError('ACCOUNT_NOT_LINKED');
  return startOAuth(deps, input, input.principal.userId, call);
}

/** @throws AuthError as takeOAuthResponse, also when another user has begun it; IDENTITY_TAKEN */
export async function finishLinkIdentity(
  deps: Pick<Deps, 'store' | 'limiter' | 'providers' | 'purposeKeys' | 'now' | 'newId'>,
  input: FinishLinkIdentityInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  const linking = { userId, sessionId };
  const { provider, identity } = await takeOAuthResponse(deps, input, linking, call);
  const { issuer, subject } = identity;
  const added = { id: deps.newId(), provider, issuer, subject };
  // After the provider has answered, which takes a while: the session may have ended, and the password changed.
  const found = await deps.store.users.credentialsById(userId, call.signal);
  const isLive = await deps.store.sessions.startedAt(sessionId, call.signal);
  if (!found || !isLive) throw new AuthError('TOKEN_REVOKED');
  const user = { id: userId, email: found.user.email, passwordEpoch: found.passwordEpoch };
  const linked = await deps.store.identities.link(user, added, false, deps.now(), [
    audit({ type: 'identity_linked', userId, sessionId, detail: provider, origin: call.origin }),
    mail({ template: 'sign-in-method-added', userId, provider }),
  ]);
  if (linked === 'taken') return refuseOAuth(deps, { provider, reason: 'IDENTITY_TAKEN', linking }, call);
  if (linked === 'changed') return refuseOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', linking }, call);
}
