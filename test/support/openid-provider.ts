// A real OpenID provider on loopback, and a browser that follows its pages.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair } from 'jose';
import Provider, { type Adapter, type AdapterPayload } from 'oidc-provider';

/** `amr` has the methods of the next sign-in. The ID token has none without it. */
type OpenIdAccount = { sub: string; email?: string; email_verified?: boolean; name?: string; amr?: string[] };

export const CLIENT = { id: 'latchkey', secret: 'a secret of forty characters for the test' };

export type OpenIdServer = {
  issuer: string;
  /** The account of the next sign-in. */
  account: OpenIdAccount;
  /** Runs before the provider; true when it has sent a response itself. */
  intercept: ((request: http.IncomingMessage, response: http.ServerResponse) => boolean) | null;
  /** The private key of its signatures. */
  privateKey: CryptoKey;
  /** As its administrator replaces the secret of the client. */
  changeSecret(secret: string): Promise<void>;
  close(): void;
};

export const KEY_ID = 'of-the-test';
const TTL_SECONDS = 600;

/** The storage of the provider, as its adapters define it. */
class InMemory implements Adapter {
  static #all = new Map<string, AdapterPayload>();
  readonly #model: string;

  constructor(model: string) {
    this.#model = model;
  }

  async upsert(id: string, payload: AdapterPayload): Promise<void> {
    InMemory.#all.set(`${this.#model} ${id}`, payload);
  }
  async find(id: string): Promise<AdapterPayload | undefined> {
    return InMemory.#all.get(`${this.#model} ${id}`);
  }
  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return [...InMemory.#all.values()].find((one) => one.kind === this.#model && one.uid === uid);
  }
  async findByUserCode(): Promise<undefined> {}
  async consume(id: string): Promise<void> {
    const one = await this.find(id);
    if (one) one.consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id: string): Promise<void> {
    InMemory.#all.delete(`${this.#model} ${id}`);
  }
  async revokeByGrantId(grantId: string): Promise<void> {
    for (const [key, one] of InMemory.#all) if (one.grantId === grantId) InMemory.#all.delete(key);
  }
}

export async function startOpenIdServer(redirectUris: string[]): Promise<OpenIdServer> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const ttl = Object.fromEntries(
    ['AccessToken', 'AuthorizationCode', 'Grant', 'IdToken', 'Interaction', 'Session'].map((kind) => [
      kind,
      TTL_SECONDS,
    ]),
  );
  const server = http.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  const provider: Provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        redirect_uris: redirectUris,
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    claims: { openid: ['sub', 'amr'], email: ['email', 'email_verified'], profile: ['name'] },
    // So that the id_token has the requested claims.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: async () => ({ ...running.account, sub }) }),
    cookies: { keys: ['a', 'b'] },
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: KEY_ID, alg: 'RS256', use: 'sig' }] },
    adapter: InMemory,
    ttl,
  });
  const changeSecret = async (secret: string) => {
    Object.assign((await provider.Client.find(CLIENT.id)) as object, { clientSecret: secret });
  };
  const running: OpenIdServer = {
    ...{ issuer, account: { sub: 'none' }, intercept: null, privateKey },
    ...{ changeSecret, close },
  };
  const callback = provider.callback();
  server.on('request', async (request, response) => {
    if (running.intercept?.(request, response)) return;
    if (!request.url?.startsWith('/interaction/')) return callback(request, response);
    // Signs in and agrees to everything.
    const { params } = await provider.interactionDetails(request, response);
    const grant = new provider.Grant({ accountId: running.account.sub, clientId: params.client_id as string });
    grant.addOIDCScope(String(params.scope));
    const consent = { grantId: await grant.save() };
    const { sub: accountId, amr } = running.account;
    await provider.interactionFinished(request, response, { login: { accountId, ...(amr && { amr }) }, consent });
  });
  return running;
}

/** Follows redirects with cookies until the redirect URI of the product. */
export async function browse(start: string, until: string): Promise<URLSearchParams> {
  const cookies = new Map<string, string>();
  let url = new URL(start);
  for (let steps = 0; steps < 12; steps += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const set of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (!location) throw new Error(`${url} stays: ${response.status} ${await response.text()}`);
    url = new URL(location, url);
    if (url.href.startsWith(until)) return url.searchParams;
  }
  throw new Error('too many redirects');
}
