// The one form of access token that this service signs and accepts: RFC 9068, compact serialization, canonical
// encoding. Decides nothing about expiry, audience or revocation.
import { isUtf8 } from 'node:buffer';
import { type Acr, isAcr } from '../domain/acr.ts';
import { isServiceName } from '../domain/service-name.ts';
import { namesOf, type SigningAlgorithm } from '../domain/signing-algorithm.ts';
import { isUuid } from '../domain/uuid.ts';
import { decodeBase64url } from './base64url.ts';

export type AccessClaims = {
  iss: string;
  /** Id of the user or of the service account. */
  sub: string;
  aud: string[];
  /** Required by RFC 9068 section 2.2: `latchkey` for a user, the name of the service for a service. */
  client_id: string;
  /** `iat` and `exp` are seconds since 1970. */
  iat: number;
  exp: number;
  jti: string;
  /** Id of the session or of the API key. */
  sid: string;
  /** Only users have `email`, `email_verified` and `refresh_counter`. */
  email?: string;
  email_verified?: boolean;
  /** Counter of the session's refresh token. A token from before a re-authentication has a lower one. */
  refresh_counter?: number;
  /** Only users have these three. Tokens of the release before have none. `auth_time` is seconds since 1970. */
  acr?: Acr;
  amr?: string[];
  auth_time?: number;
  roles: string[];
  /** Increases when the claims of the user change. A token with a lower epoch than the user's is stale. */
  epoch: number;
  /** Increases when the definition of a role changes. A token with a lower epoch than one of its roles is stale. */
  roles_epoch: number;
};

export type VerificationKey = {
  kid: string;
  algorithm: SigningAlgorithm;
  signatureBytes: number;
  hasSigned(content: Buffer, signature: Buffer): boolean;
};

/**
 * In seconds. Bounds accepted lifetimes in place of the configured one: a change of the configuration must not end
 * tokens that are already issued.
 */
export const MAX_ACCESS_TTL_SECONDS = 3600;
export const CLIENT_ID = 'latchkey';
/** In characters: 512 of an RSA signature, and 4,096. HTTP servers take headers of 8 KiB and more. */
export const MAX_TOKEN_LENGTH = 4_608;

const MAX_METHODS = 16;
const MAX_CLOCK_SKEW_SECONDS = 60;
/** In milliseconds. After a revocation, every token that it concerns has expired by then; clock skew is included. */
export const LAST_TOKEN_MS = (MAX_ACCESS_TTL_SECONDS + 3 * MAX_CLOCK_SKEW_SECONDS) * 1000;

export function accessTokenHeader(key: Pick<VerificationKey, 'kid' | 'algorithm'>): {
  alg: string;
  kid: string;
  typ: string;
} {
  return { alg: key.algorithm, kid: key.kid, typ: 'at+jwt' };
}

/** The header of a token (base64url) is compared and never parsed. */
export type KeysByHeader = Map<string, VerificationKey>;

export function keysByHeader(keys: VerificationKey[]): KeysByHeader {
  return new Map(keys.flatMap((key) => headersOf(key).map((header) => [encode(JSON.stringify(header)), key])));
}

function headersOf(key: VerificationKey) {
  return namesOf(key.algorithm).map((alg) => ({ ...accessTokenHeader(key), alg }));
}

/** Null unless the token is authentic. */
export function parseAccessToken(
  token: string,
  keys: KeysByHeader,
  issuer: string,
  nowMs: number,
): AccessClaims | null {
  const claims = readAuthenticClaims(token, keys);
  return claims && isIssuedHere(claims, issuer, Math.floor(nowMs / 1000)) ? claims : null;
}

/**
 * For the payload of a token of another kind, which the caller has authenticated.
 * @returns null for claims that this service does not issue
 */
export function readClaims(payload: string, issuer: string, nowMs: number): AccessClaims | null {
  const claims = parseCanonicalClaims(decode(payload) ?? '');
  return claims && isIssuedHere(claims, issuer, Math.floor(nowMs / 1000)) ? claims : null;
}

/** @param token one that has been accepted */
export function acceptedClaims(token: string): AccessClaims {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

/** The `kid` of a token in the right form whose key is unknown; otherwise null. */
export function unknownKid(token: string, keys: KeysByHeader): string | null {
  // Stryker disable next-line StringLiteral: a split text has a first part.
  const [header = '', , , ...rest] = token.split('.', 4);
  if (token.length > MAX_TOKEN_LENGTH || rest.length > 0 || keys.has(header)) return null;
  // Stryker disable next-line StringLiteral: any text without the form below is equal to none.
  const json = decode(header) ?? '';
  return /^\{"alg":"[A-Z][\w-]+","kid":"([\w-]{43})","typ":"at\+jwt"\}$/.exec(json)?.[1] ?? null;
}

export type Explanation = {
  cause: 'malformed' | 'unknown key' | 'wrong signature' | 'other issuer' | 'issued in the future' | null;
  /** Null unless the token is authentic. */
  claims: AccessClaims | null;
};

/** For log lines: why a token is invalid, and whose it is. */
export function explainToken(token: string, keys: KeysByHeader, issuer: string, nowMs: number): Explanation {
  const claims = readAuthenticClaims(token, keys);
  if (!claims) return { cause: causeOfForgery(token, keys), claims: null };
  if (isIssuedHere(claims, issuer, Math.floor(nowMs / 1000))) return { cause: null, claims };
  if (isIssuedHere(claims, issuer, Number.MAX_SAFE_INTEGER / 2)) return { cause: 'issued in the future', claims };
  return { cause: claims.iss === issuer ? 'malformed' : 'other issuer', claims: null };
}

function causeOfForgery(token: string, keys: KeysByHeader): Explanation['cause'] {
  if (unknownKid(token, keys) !== null) return 'unknown key';
  const isOfKnownKey = token.length <= MAX_TOKEN_LENGTH && keys.has(token.slice(0, token.indexOf('.')));
  return isOfKnownKey && token.split('.', 4).length === 3 ? 'wrong signature' : 'malformed';
}

function readAuthenticClaims(token: string, keys: KeysByHeader): AccessClaims | null {
  if (!load(token)) return null;
  const headerEnd = token.indexOf('.');
  // With one dot or none the payload is empty. A fourth part would be in the payload, with a dot.
  const payloadEnd = token.lastIndexOf('.');
  const key = keys.get(token.slice(0, headerEnd));
  if (!key) return null;
  const json = decodeLoaded(headerEnd + 1, payloadEnd);
  // Stryker disable next-line ConditionalExpression: it only saves time.
  if (json === null) return null;
  const length = decodeBase64url(characters, payloadEnd + 1, token.length, signatureBytes);
  if (length !== key.signatureBytes) return null;
  const isAuthentic = key.hasSigned(characters.subarray(0, payloadEnd), signatureBytes.subarray(0, length));
  return isAuthentic ? parseCanonicalClaims(json) : null;
}

/** Each is reused for every token. In UTF-8 a unit of a text has at most three bytes. */
const characters = Buffer.allocUnsafeSlow(3 * MAX_TOKEN_LENGTH);
const payloadBytes = Buffer.allocUnsafeSlow(MAX_TOKEN_LENGTH);
const signatureBytes = Buffer.allocUnsafeSlow(MAX_TOKEN_LENGTH);

/** Copies a text of ASCII into `characters`. False for other characters, and for a text that is too long. */
function load(text: string): boolean {
  return text.length <= MAX_TOKEN_LENGTH && characters.write(text) === text.length;
}

/** Null for characters that are not canonical base64url, and for bytes that are not UTF-8. */
function decodeLoaded(start: number, end: number): string | null {
  const length = decodeBase64url(characters, start, end, payloadBytes);
  // Stryker disable next-line ConditionalExpression,UnaryOperator: an empty text in place of null is no JSON either.
  if (length === -1) return null;
  return isUtf8(payloadBytes.subarray(0, length)) ? payloadBytes.toString('utf8', 0, length) : null;
}

/** As decodeLoaded. */
function decode(text: string): string | null {
  return load(text) ? decodeLoaded(0, text.length) : null;
}

/** Null for JSON in a form that JSON.stringify does not write, such as duplicate members. A value of another type has no claims. */
function parseCanonicalClaims(json: string): AccessClaims | null {
  try {
    const value: unknown = JSON.parse(json);
    return JSON.stringify(value) === json ? (value as AccessClaims | null) : null;
    // Stryker disable next-line BlockStatement: the caller treats undefined like null.
  } catch {
    return null;
  }
}

function isIssuedHere(claims: AccessClaims, issuer: string, nowSeconds: number): boolean {
  const { iss, sub, aud, client_id, iat, exp, jti, sid, roles, epoch, roles_epoch } = claims;
  return (
    iss === issuer &&
    (client_id === CLIENT_ID ? isPerson(claims) : isService(claims)) &&
    isId(sub) &&
    isId(jti) &&
    isId(sid) &&
    isListOfTexts(aud) &&
    aud.length > 0 &&
    isListOfTexts(roles) &&
    Number.isSafeInteger(epoch) &&
    Number.isSafeInteger(roles_epoch) &&
    Number.isSafeInteger(iat) &&
    Number.isSafeInteger(exp) &&
    iat <= nowSeconds + MAX_CLOCK_SKEW_SECONDS &&
    exp > iat &&
    exp - iat <= MAX_ACCESS_TTL_SECONDS
  );
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && isUuid(value);
}

function isListOfTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isPerson(claims: AccessClaims): boolean {
  const { email, email_verified: isVerified, refresh_counter: counter, acr, amr, auth_time: authTime } = claims;
  return (
    typeof email === 'string' &&
    typeof isVerified === 'boolean' &&
    Number.isSafeInteger(counter) &&
    ((acr === undefined && amr === undefined && authTime === undefined) || hasStrength(claims))
  );
}

/** Whether all three claims are valid. */
function hasStrength({ acr, amr, auth_time: authTime, iat }: AccessClaims): boolean {
  return (
    typeof acr === 'string' &&
    isAcr(acr) &&
    isListOfTexts(amr) &&
    (amr as string[]).length <= MAX_METHODS &&
    Number.isSafeInteger(authTime) &&
    (authTime as number) >= 0 &&
    (authTime as number) <= iat + MAX_CLOCK_SKEW_SECONDS
  );
}

function isService({ client_id, email, email_verified, refresh_counter, acr, amr, auth_time }: AccessClaims): boolean {
  const ofPeople = [email, email_verified, refresh_counter, acr, amr, auth_time];
  return typeof client_id === 'string' && isServiceName(client_id) && ofPeople.every((claim) => claim === undefined);
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}
