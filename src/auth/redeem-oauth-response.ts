import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { Reason } from '../domain/error-reason.ts';
import { parseFlow } from '../domain/oauth-flow.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { type ProviderIdentity, ProviderRejection, ProviderUnavailable } from '../oauth/provider.ts';
import { enforceLimits } from './enforce-limits.ts';

/** The parameters of the provider, the redirect URI that received them, and the binding that the browser kept. */
export type OAuthResponse = {
  state: string;
  binding: string;
  code: string;
  issuer: string;
  error: string;
  redirectUri: string;
};

export type ProvenIdentity = { provider: string; identity: ProviderIdentity };

/** The largest accepted difference between the provider's clock and ours. */
const CLOCK_SKEW_MS = 60_000;

type OAuthRejection = {
  provider: string;
  reason: Reason;
  linking?: { userId: string; sessionId: string };
  subject?: { userId?: string; account?: string };
  cause?: unknown;
};

/**
 * Uses the state up, also when it fails.
 * @param linking null for a sign-in
 * @throws AuthError OAUTH_STATE_INVALID, OAUTH_DENIED, OAUTH_RESPONSE_INVALID or PROVIDER_UNAVAILABLE
 */
export async function redeemOAuthResponse(
  deps: Pick<Deps, 'store' | 'limiter' | 'providers' | 'purposeKeys' | 'now'>,
  input: OAuthResponse,
  linking: { userId: string; sessionId: string } | null,
  call: Call,
): Promise<ProvenIdentity> {
  const { redirect_uri: receivedAt } = parseFields({
    redirect_uri: () => input.redirectUri || invalid('must be the URI that received the response'),
  });
  const secrets = parseFlow(input.state, input.binding, deps.purposeKeys.oauthFlows);
  const flow = secrets && (await deps.store.oauthFlows.redeem(secrets.id, deps.now()));
  const provider = flow && deps.providers.get(flow.provider);
  if (!flow || !provider || flow.userId !== (linking?.userId ?? null)) {
    await enforceLimits(deps, { attempts: [{ limit: 'FINISH_OAUTH_NETWORK' }] }, call);
    throw new AuthError('OAUTH_STATE_INVALID');
  }
  const { redirectUri } = flow;
  const reject = (reason: Reason, cause?: unknown) =>
    rejectOAuth(deps, { provider: flow.provider, reason, cause, ...(linking && { linking }) }, call);
  if (input.error !== '' || input.code === '') return reject('OAUTH_DENIED');
  // Providers have no redirect URI in common, so another provider has answered: a mix-up attack (RFC 9700, section
  // 4.4.2.2).
  if (receivedAt !== redirectUri) return reject('OAUTH_RESPONSE_INVALID', new Error('another redirect URI'));
  const { state, nonce, codeVerifier } = secrets;
  const { code, issuer } = input;
  try {
    const identity = await provider.identify({ redirectUri, state, nonce, codeVerifier, code, issuer });
    // A slow provider can outlast the call. A caller that has disconnected must not be signed in.
    call.signal.throwIfAborted();
    const authenticatedAt = plausibleTime(identity.authenticatedAt, deps.now());
    if (flow.reauthenticate && !isSince(flow.startedAt, authenticatedAt)) {
      return reject('OAUTH_RESPONSE_INVALID', new Error('the user has not authenticated since the flow began'));
    }
    return { provider: flow.provider, identity: { ...identity, authenticatedAt } };
  } catch (cause) {
    if (cause instanceof ProviderRejection) return reject('OAUTH_RESPONSE_INVALID', cause);
    if (cause instanceof ProviderUnavailable) return reject('PROVIDER_UNAVAILABLE', cause);
    throw cause;
  }
}

function plausibleTime(time: Date | null, now: Date): Date | null {
  if (time === null || time.getTime() > now.getTime() + CLOCK_SKEW_MS) return null;
  return time > now ? now : time;
}

function isSince(start: Date, time: Date | null): boolean {
  return time !== null && time.getTime() >= start.getTime() - CLOCK_SKEW_MS;
}

/** Writes the audit event before the caller receives the error. */
export async function rejectOAuth(
  { store, now }: Pick<Deps, 'store' | 'now'>,
  { provider, reason, linking, subject, cause }: OAuthRejection,
  { origin }: Call,
): Promise<never> {
  const type = linking ? 'identity_refused' : 'login_failed';
  await store.outbox.write(now(), [audit({ type, ...subject, ...linking, detail: `${provider}: ${reason}`, origin })]);
  throw new AuthError(reason, { cause });
}
