// The one form of access token that this service makes and accepts: RFC 9068, compact, canonical to the last bit.
import { type KeyObject, verify as verifySignature } from 'node:crypto';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../domain/key-schedule.ts';
import { isServiceName } from '../domain/service-name.ts';
import { isUuid } from '../domain/uuid.ts';

export type AccessClaims = {
  iss: string;
  /** Of the user, or of the service account. */
  sub: string;
  aud: string[];
  /** RFC 9068 section 2.2 asks for it: the product itself for people, and a service's name for the service. */
  client_id: string;
  /** Seconds since the epoch, as exp. */
  iat: number;
  exp: number;
  jti: string;
  /** Of the session, or of the API key. */
  sid: string;
  /** Of people alone, as email_verified and refresh_counter. */
  email?: string;
  email_verified?: boolean;
  /** The number of the session's refresh token: a token from before a re-authentication has a lower one. */
  refresh_counter?: number;
  roles: string[];
  /** Counts the sets of claims the user's tokens have had: a lower one than the user's present one is stale. */
  epoch: number;
  /** Counts the changes of what roles imply: a lower one than of a change of one of its roles is stale. */
  roles_epoch: number;
};

/** A key whose signatures are accepted. */
export type VerificationKey = {
  kid: string;
  algorithm: SigningAlgorithm;
  /** Whether this key has made this signature of these bytes. */
  hasSigned(content: Buffer, signature: Buffer): boolean;
};

/**
 * The longest lifetime that can be configured. What is accepted is bounded by it, and not by the lifetime that happens to
 * be configured: changing that must not end the tokens that other processes, or this one before its restart, have issued.
 */
export const MAX_ACCESS_TTL_SECONDS = 3600;
export const CLIENT_ID = 'latchkey';
/** In characters. HTTP servers take headers of 8 KiB and more. */
export const MAX_TOKEN_LENGTH = 4096;

/** Of either algorithm: of ES256, r and s (RFC 7518 section 3.4). */
const SIGNATURE_BYTES = 64;
/** Clocks of processes differ by this much at the most. */
const MAX_CLOCK_SKEW_SECONDS = 60;
/** How long after the last token of a kind was made, as far as anybody knows, one of them may be good; in milliseconds. */
export const LAST_TOKEN_MS = (MAX_ACCESS_TTL_SECONDS + 3 * MAX_CLOCK_SKEW_SECONDS) * 1000;

export function accessTokenHeader(key: Pick<VerificationKey, 'kid' | 'algorithm'>): {
  alg: string;
  kid: string;
  typ: string;
} {
  return { alg: key.algorithm, kid: key.kid, typ: 'at+jwt' };
}

/** The key of a verifier that has only the public half. */
export function publicVerificationKey(kid: string, algorithm: SigningAlgorithm, publicKey: KeyObject): VerificationKey {
  if (algorithm === 'EdDSA') {
    return { kid, algorithm, hasSigned: (content, signature) => verifySignature(null, content, publicKey, signature) };
  }
  const key = { key: publicKey, dsaEncoding: 'ieee-p1363' as const };
  return {
    kid,
    algorithm,
    hasSigned: (content, signature) => verifySignature('sha256', content, key, signature),
  };
}

/** Of the algorithms that this release knows. */
export function isSigningAlgorithm(text: string): text is SigningAlgorithm {
  return SIGNING_ALGORITHMS.some((algorithm) => algorithm === text);
}

/** Verification keys by the one header (base64url) under which each may appear: to open a token it is compared, never parsed. */
export type KeysByHeader = Map<string, VerificationKey>;

export function keysByHeader(keys: VerificationKey[]): KeysByHeader {
  return new Map(keys.map((key) => [encode(JSON.stringify(accessTokenHeader(key))), key]));
}

/** The claims of an authentic token; null whatever is wrong. Says nothing of expiry, audience or revocation. */
export function openAccessToken(token: string, keys: KeysByHeader, issuer: string, nowMs: number): AccessClaims | null {
  const claims = readAuthenticClaims(token, keys);
  return claims && areOurs(claims, issuer, Math.floor(nowMs / 1000)) ? claims : null;
}

/** Whether it has the form of a token whose key is not known here, perhaps one of an algorithm of a later release. */
export function isOfUnknownKey(token: string, keys: KeysByHeader): boolean {
  const [header = '', , , ...rest] = token.split('.', 4);
  if (token.length > MAX_TOKEN_LENGTH || rest.length > 0 || keys.has(header)) return false;
  const json = decodeCanonical(header)?.toString() ?? '';
  return /^\{"alg":"[A-Z]\w+","kid":"[\w-]{43}","typ":"at\+jwt"\}$/.test(json);
}

function readAuthenticClaims(token: string, keys: KeysByHeader): AccessClaims | null {
  if (token.length > MAX_TOKEN_LENGTH) return null;
  const [header = '', payload = '', signature = '', ...rest] = token.split('.');
  const key = keys.get(header);
  const json = decodeCanonical(payload);
  const signatureBytes = decodeCanonical(signature);
  if (rest.length > 0 || !key || !json || signatureBytes?.length !== SIGNATURE_BYTES) return null;
  const signed = Buffer.from(token.slice(0, header.length + 1 + payload.length), 'latin1');
  if (!key.hasSigned(signed, signatureBytes)) return null;
  return parseCanonicalObject(json.toString());
}

/** Null unless the text is what encoding its own bytes gives: no foreign characters, no padding, no unused bits. */
function decodeCanonical(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}

/** Null unless the JSON is what writing its own value gives, which leaves no duplicate members and no odd numbers. */
function parseCanonicalObject(json: string): AccessClaims | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value && JSON.stringify(value) === json ? (value as AccessClaims) : null;
  } catch {
    return null;
  }
}

function areOurs(claims: AccessClaims, issuer: string, nowSeconds: number): boolean {
  const { iss, sub, aud, client_id, iat, exp, jti, sid, roles, epoch, roles_epoch } = claims;
  return (
    iss === issuer &&
    (client_id === CLIENT_ID ? isPerson(claims) : isService(claims)) &&
    [sub, jti, sid].every((id) => typeof id === 'string' && isUuid(id)) &&
    [aud, roles].every((list) => Array.isArray(list) && list.every((item) => typeof item === 'string')) &&
    aud.length > 0 &&
    Number.isSafeInteger(epoch) &&
    Number.isSafeInteger(roles_epoch) &&
    Number.isSafeInteger(iat) &&
    Number.isSafeInteger(exp) &&
    iat <= nowSeconds + MAX_CLOCK_SKEW_SECONDS &&
    exp > iat &&
    exp - iat <= MAX_ACCESS_TTL_SECONDS
  );
}

function isPerson({ email, email_verified: isVerified, refresh_counter: counter }: AccessClaims): boolean {
  return typeof email === 'string' && typeof isVerified === 'boolean' && Number.isSafeInteger(counter);
}

function isService({ client_id, email, email_verified, refresh_counter }: AccessClaims): boolean {
  const isOfPerson = [email, email_verified, refresh_counter].some((claim) => claim !== undefined);
  return typeof client_id === 'string' && isServiceName(client_id) && !isOfPerson;
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}
