import { InvalidValue } from './parse-fields.ts';

declare const brand: unique symbol;
/** The canonical form: lower case, NFC, the domain as A-labels. An account has one address in this form. */
export type Email = string & { readonly [brand]: 'Email' };

const MAX_BYTES = 254; // RFC 5321 section 4.5.3.1.3, less the angle brackets
const MAX_LOCAL_BYTES = 64; // RFC 5321 section 4.5.3.1.1
/** RFC 5322 section 3.2.3: dot-atom. Quoted strings and comments are rejected. */
const DOT_ATOM = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
/** At least two labels of RFC 1035. The last one begins with a letter, which excludes IP addresses. */
const HOST_NAME = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/;
/** Characters that a URL parser would read as more than a host name, or ignore. */
const NOT_A_HOST = /[\s\p{C}/\\?#@:[\]%]/u;

/** @throws InvalidValue */
export function parseEmail(text: string): Email {
  if (text === '') throw new InvalidValue('is required');
  if (Buffer.byteLength(text) > MAX_BYTES) throw new InvalidValue('must be at most 254 bytes long');
  const normal = text.normalize('NFC').toLowerCase();
  const at = normal.lastIndexOf('@');
  if (at < 1) throw new InvalidValue('must have the form name@domain');
  const local = normal.slice(0, at);
  if (local.length > MAX_LOCAL_BYTES) throw new InvalidValue('must have at most 64 bytes before the @');
  if (!DOT_ATOM.test(local)) {
    throw new InvalidValue(
      "must have only letters a to z, digits, and . ! # $ % & ' * + / = ? ^ _ ` { | } ~ - before the @",
    );
  }
  const email = `${local}@${toAsciiDomain(normal.slice(at + 1))}`;
  if (Buffer.byteLength(email) > MAX_BYTES) throw new InvalidValue('must be at most 254 bytes long');
  return email as Email;
}

/**
 * All addresses of a mailbox with a `+tag` (RFC 5233) share one key. The address without a tag has its own, so that a
 * stranger who tries tags cannot exhaust the owner's limit on mail.
 */
export function mailboxOf(email: Email): string {
  return email.replace(/\+[^@]*/, '+');
}

export function domainOf(email: Email): string {
  return email.slice(email.lastIndexOf('@') + 1);
}

function toAsciiDomain(domain: string): string {
  const ascii = NOT_A_HOST.test(domain) ? '' : (URL.parse(`http://${domain}`)?.hostname ?? '');
  if (ascii.length > 253 || !HOST_NAME.test(ascii)) {
    throw new InvalidValue('must have a domain name after the @, such as example.com');
  }
  return ascii;
}
