import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { Reason } from '../domain/error-reason.ts';
import { parseFlow } from '../domain/oauth-flow.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { type ProviderIdentity, ProviderRefusal, ProviderUnavailable } from '../oauth/provider.ts';
import { throttle } from './throttle.ts';

/** What the browser has brought back from the provider, where to, and the half that it kept. */
export type OAuthResponse = {
  state: string;
  binding: string;
  code: string;
  issuer: string;
  error: string;
  redirectUri: string;
};

export type TakenOAuth = { provider: string; identity: ProviderIdentity };

/** By how much the provider's clock may differ from ours. */
const CLOCK_SKEW_MS = 60_000;

type Refused = {
  provider: string;
  reason: Reason;
  /** Who links an identity; without, somebody signs in. */
  linking?: { userId: string; sessionId: string };
  /** Whose account it would have been, as far as that is known. */
  whose?: { userId?: string; account?: string };
  cause?: unknown;
};

/**
 * Who it is that comes back from a provider. The state is used up by it, whatever comes of it.
 * @param linking who links an identity; null for a sign-in
 * @throws AuthError OAUTH_STATE_INVALID, OAUTH_DENIED, OAUTH_RESPONSE_INVALID or PROVIDER_UNAVAILABLE
 */
export async function takeOAuthResponse(
  deps: Pick<Deps, 'store' | 'limiter' | 'providers' | 'purposeKeys' | 'now'>,
  input: OAuthResponse,
  linking: { userId: string; sessionId: string } | null,
  call: Call,
): Promise<TakenOAuth> {
  const { redirect_uri: cameBackTo } = parseFields({
    redirect_uri: () => input.redirectUri || invalid('must be where the browser came back to'),
  });
  const secrets = parseFlow(input.state, input.binding, deps.purposeKeys.oauthFlows);
  const flow = secrets && (await deps.store.oauthFlows.take(secrets.id, deps.now()));
  const provider = flow && deps.providers.get(flow.provider);
  if (!flow || !provider || flow.userId !== (linking?.userId ?? null)) {
    await throttle(deps, [{ limit: 'FINISH_OAUTH_NETWORK' }], {}, call);
    throw new AuthError('OAUTH_STATE_INVALID');
  }
  const { redirectUri } = flow;
  const refuse = (reason: Reason, cause?: unknown) =>
    refuseOAuth(deps, { provider: flow.provider, reason, cause, ...(linking && { linking }) }, call);
  if (input.error !== '' || input.code === '') return refuse('OAUTH_DENIED');
  // No two providers have one in common: another provider has answered (RFC 9700, 4.4.2.2).
  if (cameBackTo !== redirectUri) return refuse('OAUTH_RESPONSE_INVALID', new Error('another redirect URI'));
  const { state, nonce, codeVerifier } = secrets;
  const { code, issuer } = input;
  try {
    const identity = await provider.identify({ redirectUri, state, nonce, codeVerifier, code, issuer });
    // Providers take their time: nobody is to be signed in whom nobody hears of any more.
    call.signal.throwIfAborted();
    const authenticatedAt = plausible(identity.authenticatedAt, deps.now());
    if (flow.reauthenticate && !isSince(flow.startedAt, authenticatedAt)) {
      return refuse('OAUTH_RESPONSE_INVALID', new Error('the user has not authenticated since the flow began'));
    }
    return { provider: flow.provider, identity: { ...identity, authenticatedAt } };
  } catch (cause) {
    if (cause instanceof ProviderRefusal) return refuse('OAUTH_RESPONSE_INVALID', cause);
    if (cause instanceof ProviderUnavailable) return refuse('PROVIDER_UNAVAILABLE', cause);
    throw cause;
  }
}

/** A time that is further ahead than clocks differ says nothing. */
function plausible(time: Date | null, now: Date): Date | null {
  if (time === null || time.getTime() > now.getTime() + CLOCK_SKEW_MS) return null;
  return time > now ? now : time;
}

function isSince(start: Date, time: Date | null): boolean {
  return time !== null && time.getTime() >= start.getTime() - CLOCK_SKEW_MS;
}

/** The audit trail hears of it before the caller does. */
export async function refuseOAuth(
  { store, now }: Pick<Deps, 'store' | 'now'>,
  { provider, reason, linking, whose, cause }: Refused,
  { origin }: Call,
): Promise<never> {
  const type = linking ? 'identity_refused' : 'login_failed';
  await store.outbox.write(now(), [audit({ type, ...whose, ...linking, detail: `${provider}: ${reason}`, origin })]);
  throw new AuthError(reason, { cause });
}
