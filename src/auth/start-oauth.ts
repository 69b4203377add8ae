import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { flowSecrets } from '../domain/oauth-flow.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { ProviderUnavailable } from '../oauth/provider.ts';
import { type Budget, enforceLimits } from './enforce-limits.ts';

export type StartOAuthInput = { provider: string; redirectUri: string; reauthenticate: boolean };

export type StartedOAuth = { authorizationUrl: string; state: string; binding: string; expiresAt: Date };

export type StartOAuthDeps = Pick<Deps, 'store' | 'limiter' | 'providers' | 'purposeKeys' | 'now' | 'newId'>;

const FLOW_TTL_MS = 600_000;

/** @param userId null for a sign-in. @throws AuthError PROVIDER_UNAVAILABLE, or TOKEN_REVOKED for a deleted user */
export async function startOAuth(
  deps: StartOAuthDeps,
  input: StartOAuthInput,
  userId: string | null,
  call: Call,
): Promise<StartedOAuth> {
  const { provider } = parseFields({
    provider: () => deps.providers.get(input.provider) ?? invalid('must be a configured provider'),
  });
  const { redirect_uri: redirectUri } = parseFields({
    // An exact match: a prefix or a pattern could send codes to an attacker (RFC 9700, section 4.1).
    redirect_uri: () =>
      provider.redirectUris.includes(input.redirectUri)
        ? input.redirectUri
        : invalid('must be one of the redirect URIs configured for the provider'),
    reauthenticate: () =>
      !input.reauthenticate ||
      provider.canReauthenticate ||
      invalid('is not possible with this provider; an account without a password can set one with RequestReset'),
  });
  const { reauthenticate } = input;
  const budgets: Budget[] = userId === null ? [{ limit: 'GLOBAL_SIGN_INS' }] : [];
  await enforceLimits(deps, { attempts: [{ limit: 'START_OAUTH_NETWORK', budgets }] }, call);
  const id = deps.newId();
  const { state, binding, nonce, codeVerifier } = flowSecrets(id, deps.purposeKeys.oauthFlows);
  const request = { redirectUri, state, nonce, codeVerifier, reauthenticate };
  const url = await provider.authorizationUrl(request).catch((cause: unknown) => {
    throw cause instanceof ProviderUnavailable ? new AuthError('PROVIDER_UNAVAILABLE', { cause }) : cause;
  });
  const expiresAt = new Date(deps.now().getTime() + FLOW_TTL_MS);
  const flow = { id, provider: input.provider, redirectUri, userId, reauthenticate };
  if (!(await deps.store.oauthFlows.create(flow, { at: deps.now(), expiresAt }))) throw new AuthError('TOKEN_REVOKED');
  return { authorizationUrl: url.href, state, binding, expiresAt };
}
