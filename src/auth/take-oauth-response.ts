import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { flowSecrets, parseFlow } from '../domain/oauth-flow.ts';
import { networkOf } from '../limits/network-of.ts';
import { type ProviderIdentity, ProviderRefusal, ProviderUnavailable } from '../oauth/provider.ts';
import { throttle } from './throttle.ts';

/** What the browser has brought back from the provider, and the half that it kept. */
export type OAuthResponse = { state: string; binding: string; code: string; issuer: string; error: string };

export type TakenOAuth = { provider: string; identity: ProviderIdentity };

/**
 * Who it is that comes back from a provider. The state is used up by it, whatever comes of it.
 * @param userId who links an identity; null for a sign-in
 * @throws AuthError OAUTH_STATE_INVALID, OAUTH_DENIED, OAUTH_RESPONSE_INVALID or PROVIDER_UNAVAILABLE
 */
export async function takeOAuthResponse(
  deps: Pick<Deps, 'store' | 'limiter' | 'oauth' | 'purposeKeys' | 'now'>,
  input: OAuthResponse,
  userId: string | null,
  call: Call,
): Promise<TakenOAuth> {
  const id = parseFlow(input.state, input.binding, deps.purposeKeys.oauthFlows);
  const flow = id && (await deps.store.oauthFlows.take(id, deps.now()));
  const provider = flow && deps.oauth.providers.get(flow.provider);
  if (!id || !provider || flow.userId !== userId) {
    await throttle(deps, [{ limit: 'FINISH_OAUTH_NETWORK', key: networkOf(call.origin.address) }], {}, call);
    throw new AuthError('OAUTH_STATE_INVALID');
  }
  if (input.error !== '' || input.code === '') throw new AuthError('OAUTH_DENIED');
  const { redirectUri } = flow;
  const { state, nonce, codeVerifier } = flowSecrets(id, deps.purposeKeys.oauthFlows);
  const { code, issuer } = input;
  try {
    const identity = await provider.identify({ redirectUri, state, nonce, codeVerifier, code, issuer });
    return { provider: flow.provider, identity };
  } catch (cause) {
    if (cause instanceof ProviderRefusal) throw new AuthError('OAUTH_RESPONSE_INVALID', { cause });
    if (cause instanceof ProviderUnavailable) throw new AuthError('PROVIDER_UNAVAILABLE', { cause });
    throw cause;
  }
}
