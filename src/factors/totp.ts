// The folder factors owns second factors: one-time codes, recovery codes and the ceremonies of passkeys. It must not
// store, count, log or send anything: its answers depend on the arguments alone.
import { randomBytes } from 'node:crypto';
import { HOTP, Secret, TOTP } from 'otpauth';
import { isEqual } from '../domain/mac.ts';
import { invalid } from '../domain/parse-fields.ts';

/** The values of RFC 6238 that every authenticator app supports. */
const PERIOD_SECONDS = 30;
const FORM = { algorithm: 'SHA1', digits: 6 };
const PARAMETERS = new Map([
  ['algorithm', 'SHA1'],
  ['digits', '6'],
  ['period', '30'],
]);

/** RFC 4226 section 4, R6: 160 bits. */
const NEW_SECRET_BYTES = 20;
/** RFC 4226 requires 128 bits. SHA-1 hashes a key that is longer than 64 bytes. */
const [MIN_SECRET_BYTES, MAX_SECRET_BYTES] = [16, 64];
const MAX_URI_LENGTH = 2_048;

export function newTotpSecret(): Buffer {
  return randomBytes(NEW_SECRET_BYTES);
}

/** Base32 without padding (RFC 4648 section 6), for typing into an app. */
export function totpSecretText(secret: Buffer): string {
  return secretOf(secret).base32;
}

/**
 * Accepts the code of this step and of the step before.
 * @returns the number of the step, which the caller must accept only once, or null for another code
 */
export function matchingTotpStep(secret: Buffer, code: string, now: Date): number | null {
  const step = Math.floor(now.getTime() / 1000 / PERIOD_SECONDS);
  // Both are always compared, so that the time does not depend on the step.
  const [isOfBefore, isOfThis] = [step - 1, step].map((counter) =>
    isEqual(code, HOTP.generate({ ...FORM, secret: secretOf(secret), counter })),
  );
  if (isOfThis) return step;
  return isOfBefore ? step - 1 : null;
}

/** For a QR code, in the form that authenticator apps read. */
export function totpUri({ secret, issuer, account }: { secret: Buffer; issuer: string; account: string }): string {
  return new TOTP({ ...FORM, issuer, label: account, secret: secretOf(secret), period: PERIOD_SECONDS }).toString();
}

/** The secret of an otpauth URI. Parameters that are missing have the default values. @throws InvalidValue */
export function parseTotpUri(text: string): Buffer {
  const uri = text.length <= MAX_URI_LENGTH && URL.canParse(text) ? new URL(text) : null;
  if (uri?.protocol !== 'otpauth:' || uri.host !== 'totp') invalid('must be an otpauth URI of type totp');
  const secrets: string[] = [];
  for (const [anyCase, value] of uri.searchParams) {
    const name = anyCase.toLowerCase();
    const expected = PARAMETERS.get(name);
    if (expected !== undefined && value.toUpperCase() !== expected) invalid(`${name} must be ${expected}`);
    if (name === 'secret') secrets.push(value);
  }
  if (secrets.length !== 1) invalid('must have one secret');
  return parseBase32(secrets[0] as string);
}

function parseBase32(text: string): Buffer {
  const digits = text.toUpperCase().replace(/=+$/, '');
  // Some letters outside ASCII become ASCII in upper case.
  const bytes = /^[A-Za-z2-7]+=*$/.test(text) ? Buffer.from(Secret.fromBase32(digits).bytes) : null;
  // The decoder ignores incomplete bytes, which an encoder never writes.
  if (!bytes || totpSecretText(bytes) !== digits) invalid('secret must be base32');
  if (bytes.length < MIN_SECRET_BYTES || bytes.length > MAX_SECRET_BYTES) invalid('secret must have 16 to 64 bytes');
  return bytes;
}

function secretOf(bytes: Buffer): Secret {
  return new Secret({ buffer: new Uint8Array(bytes).buffer });
}
