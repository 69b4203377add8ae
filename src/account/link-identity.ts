import { type StartedOAuth, type StartOAuthDeps, type StartOAuthInput, startOAuth } from '../auth/start-oauth.ts';
import { type OAuthResponse, takeOAuthResponse } from '../auth/take-oauth-response.ts';
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
  await provePresence(deps, input.principal, input.currentPassword, call);
  return startOAuth(deps, input, input.principal.userId, call);
}

/** @throws AuthError as takeOAuthResponse, also when another user has begun it; IDENTITY_TAKEN */
export async function finishLinkIdentity(
  deps: Pick<Deps, 'store' | 'limiter' | 'oauth' | 'purposeKeys' | 'now' | 'newId'>,
  input: FinishLinkIdentityInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  const { provider, identity } = await takeOAuthResponse(deps, input, userId, call);
  const { issuer, subject } = identity;
  const added = { id: deps.newId(), provider, issuer, subject };
  const isLinked = await deps.store.identities.link(userId, added, deps.now(), [
    audit({ type: 'identity_linked', userId, sessionId, detail: provider, origin: call.origin }),
    mail({ template: 'sign-in-method-added', userId }),
  ]);
  if (!isLinked) throw new AuthError('IDENTITY_TAKEN');
}
