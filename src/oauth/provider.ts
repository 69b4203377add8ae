// Where users of somebody else's accounts come from. What is between us and a provider stays in this folder.

/** Who somebody is at a provider. */
export type ProviderIdentity = {
  /** With the subject it is the identity; the email is not. */
  issuer: string;
  subject: string;
  /** Null unless the provider says that it has verified it. */
  verifiedEmail: string | null;
  /** Empty when the provider does not say. */
  name: string;
  /** When the user authenticated; null when the provider does not say. */
  authenticatedAt: Date | null;
};

type Flow = { redirectUri: string; state: string; nonce: string; codeVerifier: string };

export type AuthorizationRequest = Flow & {
  /** Whether the provider must authenticate the user anew. */
  reauthenticate: boolean;
};

/** What the browser has brought back. */
type AuthorizationResponse = Flow & {
  code: string;
  /** RFC 9207; empty when there was none. */
  issuer: string;
};

export type Provider = {
  /** Whether it can be asked to authenticate the user anew, and says when it did. */
  canReauthenticate: boolean;
  /** @throws ProviderUnavailable */
  authorizationUrl(request: AuthorizationRequest): Promise<URL>;
  /** @throws ProviderUnavailable, ProviderRejection */
  identify(response: AuthorizationResponse): Promise<ProviderIdentity>;
};

/** By the name that configuration and callers use. */
export type Providers = ReadonlyMap<string, Provider & RedirectUris>;

export type RedirectUris = {
  /** Where users may be sent back to from this provider, exactly, and from no other. */
  redirectUris: string[];
};

/** It does not answer, or not in a way that says anything. */
export class ProviderUnavailable extends Error {}

/** What it has answered does not prove who this is. */
export class ProviderRejection extends Error {}
