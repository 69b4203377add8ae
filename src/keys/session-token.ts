// The token in the cookie of a browser session. It has the claims of an access token and a MAC in place of a
// signature, so that neither passes as the other.
import type { KeyRing } from '../domain/key-ring.ts';
import { isEqual, macOf } from '../domain/mac.ts';
import { type AccessClaims, MAX_TOKEN_LENGTH, readClaims } from '../verifier/access-token.ts';

/** Lets secret scanners find a leaked token. */
const PREFIX = 'lks_';
const FORM = /^lks_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/;

/** @param accessToken a token that this service has just signed; the session token expires with it */
export function sessionTokenOf(accessToken: string, [key]: KeyRing): string {
  const [, payload = ''] = accessToken.split('.', 2);
  return `${PREFIX}${payload}.${macOf(payload, key).toString('base64url')}`;
}

/** Null unless the token is authentic. Decides nothing about expiry, audience or revocation. */
export function parseSessionToken(
  text: string,
  { keys, issuer, nowMs }: { keys: KeyRing; issuer: string; nowMs: number },
): AccessClaims | null {
  if (text.length > MAX_TOKEN_LENGTH) return null;
  const [, payload = '', mac = ''] = FORM.exec(text) ?? [];
  const isAuthentic = payload !== '' && keys.some((key) => isEqual(mac, macOf(payload, key).toString('base64url')));
  return isAuthentic ? readClaims(payload, issuer, nowMs) : null;
}
