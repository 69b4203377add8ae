// GitHub: OAuth 2.0 without OpenID Connect, so the identity comes from GitHub's API.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { guardedFetch } from './guarded-fetch.ts';
import { type Provider, ProviderRejection, ProviderUnavailable } from './provider.ts';

export type GitHubOptions = {
  clientId: string;
  clientSecret: string;
  url: string;
  apiUrl: string;
};

const SCOPES = 'read:user user:email';
/** The id is required: a missing one must not become an id that all users share. */
const user = z.object({ id: z.int().positive(), name: z.string().nullish(), login: z.string().nullish() });
const emails = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }));

export function createGitHubProvider({ clientId, clientSecret, url, apiUrl }: GitHubOptions): Provider {
  async function get<T>(path: string, accessToken: string, form: z.ZodType<T>): Promise<T> {
    const headers = {
      authorization: `Bearer ${accessToken}`,
      accept: 'application/vnd.github+json',
      'user-agent': 'latchkey',
    };
    const response = await guardedFetch(`${apiUrl}${path}`, { headers });
    const isLimited = response.headers.get('x-ratelimit-remaining') === '0' || response.headers.has('retry-after');
    if (isLimited && response.status === 403) throw new ProviderUnavailable(`${path}: rate limit`);
    if (response.status === 401 || response.status === 403) throw new ProviderRejection(`${path}: ${response.status}`);
    if (response.status !== 200) throw new ProviderUnavailable(`${path}: ${response.status}`);
    const answer = await response.json().catch((cause) => {
      throw new ProviderUnavailable(`${path} returned invalid JSON`, { cause });
    });
    const parsed = form.safeParse(answer);
    if (!parsed.success) throw new ProviderRejection(`${path} returned unexpected fields`);
    return parsed.data;
  }

  return {
    canReauthenticate: false,

    async authorizationUrl({ redirectUri, state, codeVerifier }) {
      const authorization = new URL(`${url}/login/oauth/authorize`);
      authorization.search = new URLSearchParams({
        client_id: clientId,
        redirect_uri: redirectUri,
        scope: SCOPES,
        state,
        code_challenge: createHash('sha256').update(codeVerifier).digest('base64url'),
        code_challenge_method: 'S256',
      }).toString();
      return authorization;
    },

    async identify({ redirectUri, codeVerifier, code }) {
      const accessToken = await redeem({ redirect_uri: redirectUri, code_verifier: codeVerifier, code });
      const { id, name, login } = await get('/user', accessToken, user);
      const all = await get('/user/emails', accessToken, emails);
      const primary = all.find((one) => one.primary && one.verified);
      const verifiedEmail = primary?.email ?? null;
      return {
        issuer: url,
        subject: String(id),
        verifiedEmail,
        name: name || login || '',
        authenticatedAt: null,
        amr: [],
      };
    },
  };

  /** GitHub returns errors with status 200 and fields of its own. */
  async function redeem(grant: Record<string, string>): Promise<string> {
    const response = await guardedFetch(`${url}/login/oauth/access_token`, {
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ client_id: clientId, client_secret: clientSecret, ...grant }).toString(),
    });
    if (response.status !== 200) throw new ProviderUnavailable(`access_token: ${response.status}`);
    const answer = await response.json().catch((cause) => {
      throw new ProviderUnavailable('access_token returned invalid JSON', { cause });
    });
    const parsed = z
      .object({ access_token: z.string().min(1), token_type: z.string().regex(/^bearer$/i) })
      .safeParse(answer);
    if (!parsed.success) {
      const failure = z.object({ error: z.string() }).safeParse(answer);
      throw new ProviderRejection(`no access token: ${failure.data?.error ?? ''}`);
    }
    return parsed.data.access_token;
  }
}
