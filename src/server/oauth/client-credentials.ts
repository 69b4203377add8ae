// The credentials of an OAuth client: a service and its key. RFC 6749 section 2.3 allows one place for the secret.
import { formDecoded, type OAuthForm } from './oauth-form.ts';
import { invalidClient, OAuthRejection, type Scheme } from './oauth-rejection.ts';

export type ClientCredentials = {
  /** Name or id of the service. Empty in a Bearer header, which has none. */
  id: string;
  secret: string;
  scheme: Scheme;
};

/** A service also calls with its access token. */
export const INTROSPECTION_SCHEMES: Scheme[] = ['Basic', 'Bearer'];

/**
 * @param authorization as soleAuthorization returns it
 * @returns null without the header
 * @throws OAuthRejection
 */
export function credentialsInHeader(authorization: string | null, schemes: Scheme[]): ClientCredentials | null {
  if (authorization === '') return null;
  if (authorization === null) throw invalidClient('the request has several authorization headers');
  const [, name = '', value = ''] = /^(\w+) +([A-Za-z0-9._~+/-]+=*)$/.exec(authorization) ?? [];
  const scheme = schemes.find((known) => known.toLowerCase() === name.toLowerCase());
  if (!scheme) throw invalidClient(`the authorization scheme must be ${schemes.join(' or ')}`);
  if (scheme === 'Bearer') return { id: '', secret: value, scheme };
  const [, id = '', secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(value, 'base64').toString()) ?? [];
  return { id: formDecoded(id), secret: formDecoded(secret), scheme };
}

/** @throws OAuthRejection when the form contradicts the header */
export function withForm(header: ClientCredentials | null, form: OAuthForm): ClientCredentials {
  const [id, secret] = [form.one('client_id'), form.one('client_secret')];
  if (!header) return { id, secret, scheme: 'Basic' };
  if (secret !== '') throw new OAuthRejection('invalid_request', 'the client secret is in the header and in the form');
  if (header.id !== '' && id !== '' && header.id !== id) {
    throw new OAuthRejection('invalid_request', 'the header and the form name different clients');
  }
  return { ...header, id: header.id || id };
}
