import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { flowSecrets } from '../domain/oauth-flow.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { ProviderUnavailable } from '../oauth/provider.ts';
import { type Budget, throttle } from './throttle.ts';

export type StartOAuthInput = { provider: string; redirectUri: string; reauthenticate: boolean };

export type StartedOAuth = { authorizationUrl: string; state: string; binding: string; expiresAt: Date };

export type StartOAuthDeps = Pick<Deps, 'store' | 'limiter' | 'providers' | 'purposeKeys' | 'now' | 'newId'>;

const FLOW_TTL_MS = 600_000;

/**
 * @param userId who links an identity; null for a sign-in
 * @throws AuthError PROVIDER_UNAVAILABLE; TOKEN_REVOKED when the user is gone
 */
export async function startOAuth(
  deps: StartOAuthDeps,
  input: StartOAuthInput,
  userId: string | null,
  call: Call,
): Promise<StartedOAuth> {
  const { provider } = parseFields({
    provider: () => deps.providers.get(input.provider) ?? invalid('must be one that is configured'),
  });
  const { redirect_uri: redirectUri } = parseFields({
    // Exactly: a prefix or a pattern would let codes go astray.
    redirect_uri: () =>
      provider.redirectUris.includes(input.redirectUri)
        ? input.redirectUri
        : invalid('must be on the list of the provider'),
    reauthenticate: () =>
      !input.reauthenticate ||
      provider.canReauthenticate ||
      invalid('is not possible with this provider; an account without a password sets one by RequestReset'),
  });
  const { reauthenticate } = input;
  const within: Budget[] = userId === null ? [{ limit: 'GLOBAL_SIGN_INS' }] : [];
  await throttle(deps, [{ limit: 'START_OAUTH_NETWORK', within }], {}, call);
  const id = deps.newId();
  const { state, binding, nonce, codeVerifier } = flowSecrets(id, deps.purposeKeys.oauthFlows);
  const request = { redirectUri, state, nonce, codeVerifier, reauthenticate };
  const url = await provider.authorizationUrl(request).catch((cause: unknown) => {
    throw cause instanceof ProviderUnavailable ? new AuthError('PROVIDER_UNAVAILABLE', { cause }) : cause;
  });
  const expiresAt = new Date(deps.now().getTime() + FLOW_TTL_MS);
  const flow = { id, provider: input.provider, redirectUri, userId, reauthenticate };
  if (!(await deps.store.oauthFlows.open(flow, deps.now(), expiresAt))) throw new AuthError('TOKEN_REVOKED');
  return { authorizationUrl: url.href, state, binding, expiresAt };
}
