// The member `factors` of an account in a file.
import type { ImportedFactor, ImportedPasskey } from '../../admin/imported-factor.ts';
import { invalid } from '../../domain/parse-fields.ts';
import { asObject } from './json-value.ts';

const FORM = 'must be a list of objects with name, and totp_uri or passkey';
const PASSKEY =
  'passkey must have credential_id and public_key in base64url, and may have counter, user_handle, transports, backed_up';

/** A list. One otpauth URI, or one object, stands for a list of one. @throws InvalidValue */
export function toFactors(value: unknown): ImportedFactor[] {
  if (typeof value === 'string' && value.startsWith('otpauth:')) return [{ name: '', totpUri: value, passkey: null }];
  const items: unknown[] = Array.isArray(value) ? value : [value];
  return items.map((item) => {
    const { name, totp_uri: totpUri, passkey, ...others } = asObject(item) ?? invalid(FORM);
    if (Object.keys(others).length > 0) invalid(FORM);
    return { name: toText(name), totpUri: toText(totpUri), passkey: isAbsent(passkey) ? null : toPasskey(passkey) };
  });
}

function toPasskey(value: unknown): ImportedPasskey {
  const { credential_id, public_key, counter, user_handle, transports, backed_up, ...others } =
    asObject(value) ?? invalid(PASSKEY);
  if (Object.keys(others).length > 0) invalid(PASSKEY);
  const words: unknown[] = isAbsent(transports) ? [] : Array.isArray(transports) ? transports : invalid(PASSKEY);
  return {
    credentialId: toBytes(credential_id),
    publicKey: toBytes(public_key),
    counter: isAbsent(counter) ? 0 : Number(counter),
    userHandle: isAbsent(user_handle) ? Buffer.alloc(0) : toBytes(user_handle),
    transports: words.map((word) => toText(word)),
    backedUp: backed_up === true || backed_up === 'true',
  };
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

function toText(value: unknown): string {
  if (isAbsent(value)) return '';
  return typeof value === 'string' ? value : invalid(FORM);
}

/** Base64 or base64url, with or without padding. */
function toBytes(value: unknown): Buffer {
  const digits = typeof value === 'string' ? value.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_') : '';
  const bytes = Buffer.from(digits, 'base64url');
  return digits !== '' && bytes.toString('base64url') === digits ? bytes : invalid(PASSKEY);
}
