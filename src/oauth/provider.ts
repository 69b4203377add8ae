// The folder oauth owns identity providers: OpenID Connect and GitHub. It must not know accounts or sessions.

export type ProviderIdentity = {
  /** Issuer and subject identify the user. The email address does not. */
  issuer: string;
  subject: string;
  /** Null unless the provider states that it has verified the address. */
  verifiedEmail: string | null;
  name: string;
  /** When the user authenticated. Null when the provider does not state it. */
  authenticatedAt: Date | null;
  /** Authentication methods (RFC 8176) as the provider reports them. Empty when it does not. */
  amr: string[];
};

type Flow = { redirectUri: string; state: string; nonce: string; codeVerifier: string };

export type AuthorizationRequest = Flow & {
  reauthenticate: boolean;
};

type AuthorizationResponse = Flow & {
  code: string;
  /** The parameter `iss` (RFC 9207). Empty when the provider sent none. */
  issuer: string;
};

export type Provider = {
  /** Whether the provider can authenticate the user again on request, and states when it did. */
  canReauthenticate: boolean;
  /** @throws ProviderUnavailable */
  authorizationUrl(request: AuthorizationRequest): Promise<URL>;
  /** @throws ProviderUnavailable, ProviderRejection */
  identify(response: AuthorizationResponse): Promise<ProviderIdentity>;
};

export type Providers = ReadonlyMap<string, Provider & RedirectUris & { issuer: string }>;

export type RedirectUris = {
  /** The exact redirect URIs of this provider. No other provider has one of them. */
  redirectUris: string[];
};

export class ProviderUnavailable extends Error {}

export class ProviderRejection extends Error {}
