import * as client from 'openid-client';
import { guardedFetch } from './guarded-fetch.ts';
import { type AuthorizationRequest, type Provider, ProviderRejection, ProviderUnavailable } from './provider.ts';

const MAX_METHODS = 10;

export type OpenIdOptions = { issuer: string; clientId: string; clientSecret: string; scopes: string };

const DISCOVERY_TTL_MS = 3600_000;
/** Well below the library's tolerance for a provider's clock. */
const MAX_SKEW_CHANGE_SECONDS = 5;
/** Asymmetric only: anyone who knows the client secret could create a symmetric signature. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519'];

export function createOpenIdProvider(
  { issuer, clientId, clientSecret, scopes }: OpenIdOptions,
  clockAheadMs: () => number,
): Provider {
  let known: { configuration: client.Configuration; at: number; skewSeconds: number } | null = null;

  async function discover(): Promise<client.Configuration> {
    const skewSeconds = -Math.round(clockAheadMs() / 1000);
    const hasSameSkew = known && Math.abs(known.skewSeconds - skewSeconds) <= MAX_SKEW_CHANGE_SECONDS;
    if (known && hasSameSkew && performance.now() - known.at < DISCOVERY_TTL_MS) return known.configuration;
    const isLocal = URL.parse(issuer)?.protocol === 'http:';
    const configuration = await asProvider(() =>
      client.discovery(
        new URL(issuer),
        clientId,
        { client_secret: clientSecret, [client.clockSkew]: skewSeconds },
        undefined,
        {
          // Checks the signature of the id_token: by default the library trusts the connection instead. The
          // configuration allows cleartext to loopback only.
          execute: [client.enableNonRepudiationChecks, ...(isLocal ? [client.allowInsecureRequests] : [])],
          [client.customFetch]: guardedFetch,
        },
      ),
    ).catch((error: unknown) => {
      throw new ProviderUnavailable('discovery', { cause: error });
    });
    const { authorization_endpoint: authorization, token_endpoint: token } = configuration.serverMetadata();
    const isUrl = (text: unknown) => typeof text === 'string' && /^https?:$/.test(URL.parse(text)?.protocol ?? '');
    if (![authorization, token].every(isUrl)) throw new ProviderUnavailable('discovery has no valid endpoints');
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
        // Makes `auth_time` a required claim of the id_token (OpenID Connect Core 1.0, section 2).
        ...(reauthenticate && { max_age: '0' }),
      });
    },

    async identify({ redirectUri, state, nonce, codeVerifier, code, issuer: responseIssuer }) {
      const configuration = await discover();
      const callback = new URL(redirectUri);
      callback.search = new URLSearchParams({ code, state, ...(responseIssuer && { iss: responseIssuer }) }).toString();
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
      if (!claims || !ALGORITHMS.includes(algorithm))
        throw new ProviderRejection(`the id_token has the algorithm ${algorithm}`);
      // OpenID Connect Core 1.0, section 3.1.3.7. The library checks it only where there are several audiences.
      if (claims.azp !== undefined && claims.azp !== clientId)
        throw new ProviderRejection('the id_token is for another client');
      const { sub, email, email_verified: isVerified, name, auth_time: authTime, amr } = claims;
      // OpenID Connect Core 1.0, section 2.
      if (typeof sub !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(sub))
        throw new ProviderRejection('the id_token has no valid subject');
      return {
        issuer: configuration.serverMetadata().issuer,
        subject: sub,
        verifiedEmail: isVerified === true && typeof email === 'string' ? email : null,
        name: typeof name === 'string' ? name : '',
        amr: methodsOf(amr),
        authenticatedAt: typeof authTime === 'number' ? timeOf(authTime) : null,
      };
    },
  };
}

/** Null for a value that is not a time. */
function timeOf(seconds: number): Date | null {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? null : time;
}

function algorithmOf(idToken: string): string {
  try {
    return JSON.parse(Buffer.from(idToken.split('.')[0] ?? '', 'base64url').toString()).alg;
  } catch {
    return 'none';
  }
}

async function asProvider<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (cause) {
    for (let error = cause; error instanceof Error; error = error.cause) {
      if (error instanceof ProviderUnavailable) throw error;
    }
    const failure = cause instanceof client.ResponseBodyError ? cause : null;
    const isClientProblem = failure?.status === 429 || failure?.error === 'invalid_client';
    if (isClientProblem)
      throw new ProviderUnavailable(`the provider rejects this client: ${failure.status} ${failure.error}`, { cause });
    throw new ProviderRejection(`the response proves no identity: ${failure?.error ?? ''}`, { cause });
  }
}

/** Empty for a claim that is no list of method names. */
function methodsOf(amr: unknown): string[] {
  if (!Array.isArray(amr) || amr.length > MAX_METHODS) return [];
  return amr.every((method) => typeof method === 'string' && /^[a-z][a-z0-9_-]{0,31}$/.test(method)) ? amr : [];
}
