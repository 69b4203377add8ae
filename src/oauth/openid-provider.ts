// Any provider of OpenID Connect, found by its issuer.
import * as client from 'openid-client';
import { guardedFetch } from './guarded-fetch.ts';
import { type AuthorizationRequest, type Provider, ProviderRejection, ProviderUnavailable } from './provider.ts';

export type OpenIdOptions = { issuer: string; clientId: string; clientSecret: string; scopes: string };

/** After this long what the provider says of itself is asked for again. */
const DISCOVERY_TTL_MS = 3600_000;
/** Well below the tolerance that the library has for a provider's clock. */
const MAX_SKEW_CHANGE_SECONDS = 5;
/** Nothing symmetric: whoever knows the client's secret could make those. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519'];

/** @param clockAheadMs how far this machine's clock is ahead of the right time */
export function createOpenIdProvider(
  { issuer, clientId, clientSecret, scopes }: OpenIdOptions,
  clockAheadMs: () => number,
): Provider {
  let known: { configuration: client.Configuration; at: number; skewSeconds: number } | null = null;

  async function discover(): Promise<client.Configuration> {
    const skewSeconds = -Math.round(clockAheadMs() / 1000);
    const isRight = known && Math.abs(known.skewSeconds - skewSeconds) <= MAX_SKEW_CHANGE_SECONDS;
    if (known && isRight && performance.now() - known.at < DISCOVERY_TTL_MS) return known.configuration;
    const isLocal = URL.parse(issuer)?.protocol === 'http:';
    const configuration = await asProvider(() =>
      client.discovery(
        new URL(issuer),
        clientId,
        { client_secret: clientSecret, [client.clockSkew]: skewSeconds },
        undefined,
        {
          // The library would trust the connection that an id_token came by; its signature is looked at here. Cleartext is spoken
          // to loopback alone: configuration sees to that.
          execute: [client.enableNonRepudiationChecks, ...(isLocal ? [client.allowInsecureRequests] : [])],
          [client.customFetch]: guardedFetch,
        },
      ),
    ).catch((error: unknown) => {
      // A discovery that makes no sense is nobody's answer.
      throw new ProviderUnavailable('discovery', { cause: error });
    });
    const { authorization_endpoint: authorization, token_endpoint: token } = configuration.serverMetadata();
    const isUrl = (text: unknown) => typeof text === 'string' && /^https?:$/.test(URL.parse(text)?.protocol ?? '');
    if (![authorization, token].every(isUrl)) throw new ProviderUnavailable('discovery names no endpoints');
    known = { configuration, at: performance.now(), skewSeconds };
    return configuration;
  }

  return {
    canReauthenticate: true,

    async authorizationUrl({ redirectUri, state, nonce, codeVerifier, reauthenticate }: AuthorizationRequest) {
      return client.buildAuthorizationUrl(await discover(), {
        redirect_uri: redirectUri,
        scope: scopes,
        state,
        nonce,
        code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
        code_challenge_method: 'S256',
        // It makes `auth_time` a claim that the id_token must have (OpenID Connect Core 1.0, section 2).
        ...(reauthenticate && { max_age: '0' }),
      });
    },

    async identify({ redirectUri, state, nonce, codeVerifier, code, issuer: told }) {
      const configuration = await discover();
      const callback = new URL(redirectUri);
      callback.search = new URLSearchParams({ code, state, ...(told && { iss: told }) }).toString();
      const answer = await asProvider(() =>
        client.authorizationCodeGrant(configuration, callback, {
          pkceCodeVerifier: codeVerifier,
          expectedNonce: nonce,
          expectedState: state,
          idTokenExpected: true,
        }),
      );
      const claims = answer.claims();
      const algorithm = algorithmOf(answer.id_token ?? '');
      if (!claims || !ALGORITHMS.includes(algorithm)) throw new ProviderRejection(`an id_token with ${algorithm}`);
      // OpenID Connect Core 1.0, section 3.1.3.7. The library checks it only where there are several audiences.
      if (claims.azp !== undefined && claims.azp !== clientId)
        throw new ProviderRejection('an id_token of another client');
      const { sub, email, email_verified: isVerified, name, auth_time: authTime } = claims;
      // OpenID Connect Core 1.0, section 2.
      if (typeof sub !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(sub)) throw new ProviderRejection('no subject');
      return {
        issuer: configuration.serverMetadata().issuer,
        subject: sub,
        verifiedEmail: isVerified === true && typeof email === 'string' ? email : null,
        name: typeof name === 'string' ? name : '',
        authenticatedAt: typeof authTime === 'number' ? timeOf(authTime) : null,
      };
    },
  };
}

/** @param seconds since 1970; null for what is no time */
function timeOf(seconds: number): Date | null {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? null : time;
}

function algorithmOf(idToken: string): string {
  try {
    return JSON.parse(Buffer.from(idToken.split('.')[0] ?? '', 'base64url').toString()).alg;
  } catch {
    return 'no header';
  }
}

/** What the library says of an answer, in our words. */
async function asProvider<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    for (let error = cause; error instanceof Error; error = error.cause) {
      if (error instanceof ProviderUnavailable) throw error;
    }
    const said = cause instanceof client.ResponseBodyError ? cause : null;
    // Of ours, and not of the user's.
    const isOurs = said?.status === 429 || said?.error === 'invalid_client';
    if (isOurs)
      throw new ProviderUnavailable(`the provider refuses this client: ${said.status} ${said.error}`, { cause });
    throw new ProviderRejection(`the answer does not prove anything: ${said?.error ?? ''}`, { cause });
  }
}
