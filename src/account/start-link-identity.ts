import { type StartedOAuth, type StartOAuthDeps, type StartOAuthInput, startOAuth } from '../auth/start-oauth.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';
import { countChange } from './count-change.ts';

export type StartLinkIdentityInput = StartOAuthInput & { principal: UserCaller; currentPassword: string };

/** Requires re-authentication, because it adds a way to sign in. */
export async function startLinkIdentity(
  deps: StartOAuthDeps & ReauthenticationDeps,
  input: StartLinkIdentityInput,
  call: Call,
): Promise<StartedOAuth> {
  await countChange(deps, input.principal, call);
  const { user } = await assertReauthenticated(deps, input, call);
  // An unverified address can belong to a stranger, who would not learn of the new way to sign in.
  if (!user.emailVerified) throw new AuthError('ACCOUNT_NOT_LINKED');
  return startOAuth(deps, input, input.principal.userId, call);
}
