import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { byProvider } from '../domain/acr.ts';
import { parseAudiences } from '../domain/audience.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { completeFirstStep, type FirstStep } from './complete-first-step.ts';
import { firstSignIn } from './first-sign-in.ts';
import { type OAuthResponse, redeemOAuthResponse, rejectOAuth } from './redeem-oauth-response.ts';

/** @param audiences empty for all audiences */
export type FinishOAuthInput = OAuthResponse & { audiences: string[] };

export type SignedInByOAuth = FirstStep & { isNew: boolean };

type FinishDeps = Pick<
  Deps,
  | 'store'
  | 'limiter'
  | 'sessionUsers'
  | 'providers'
  | 'signingKeys'
  | 'verifier'
  | 'purposeKeys'
  | 'tokenSettings'
  | 'relyingParty'
  | 'now'
  | 'newId'
>;

/** @throws AuthError as redeemOAuthResponse and firstSignIn do, and USER_DISABLED */
export async function finishOAuth(deps: FinishDeps, input: FinishOAuthInput, call: Call): Promise<SignedInByOAuth> {
  const { audiences } = parseFields({
    audiences: () => parseAudiences(input.audiences, deps.tokenSettings.audiences),
  });
  const proven = await redeemOAuthResponse(deps, input, null, call);
  const { provider, identity } = proven;
  const known = await deps.store.identities.use(identity.issuer, identity.subject, deps.now());
  const found = known ? { ...known, isNew: false } : await firstSignIn(deps, proven, call);
  const { id: identityId, userId, isNew } = found;
  // One retry, because the account may have changed since it was read.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const credentials = await deps.store.users.credentialsById(userId, call.signal);
    if (!credentials) break;
    if (credentials.user.disabled) {
      return rejectOAuth(deps, { provider, reason: 'USER_DISABLED', subject: { userId } }, call);
    }
    const account = accountHash(credentials.user.email, deps.purposeKeys.accountHash);
    const usedIdentity = { id: identityId, provider, authenticatedAt: identity.authenticatedAt };
    const methods = byProvider(identity.amr);
    const signIn = { credentials, account, identity: usedIdentity, audiences, methods };
    const step = await completeFirstStep(deps, signIn, call);
    if (step) return { ...step, isNew };
  }
  return rejectOAuth(deps, { provider, reason: 'OAUTH_STATE_INVALID', subject: { userId } }, call);
}
