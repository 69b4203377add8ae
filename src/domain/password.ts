import { InvalidValue } from './parse-fields.ts';

declare const brand: unique symbol;
/** NFC, of an acceptable length, without NUL. */
export type Password = string & { readonly [brand]: 'Password' };

export type PasswordPolicy = {
  /** In code points; at least 8. */
  minLength: number;
  /** Whether a password, in lower case, is among those that everyone tries first. */
  isCommon: (lowerCase: string) => boolean;
};

const MAX_CODE_POINTS = 256;
/** No text of this many UTF-16 units can have few enough code points; checked first, so that nothing long is processed. */
const MAX_UNITS = 4 * MAX_CODE_POINTS;
const PRODUCT_NAME = 'latchkey';
/** A word this short may well stand in a good password by chance. */
const MIN_CONTEXT_LENGTH = 4;
/** Longer than any valid email or name; the context may not have been checked yet. */
const MAX_CONTEXT_LENGTH = 300;
/** Letters and digits that must be left when the words an attacker knows are taken out. */
const MIN_REST = 4;

/**
 * A password as somebody typed it to sign in: only what hashing needs is checked.
 * @throws InvalidValue
 */
export function parsePresentedPassword(text: string): Password {
  if (text === '') throw new InvalidValue('is required');
  if (text.includes('\0')) throw new InvalidValue('must have no NUL character');
  // What decoders make of bytes that are no text: different passwords would become one.
  if (text.includes('\ufffd')) throw new InvalidValue('must be valid UTF-8');
  const password = text.length > MAX_UNITS ? '' : text.normalize('NFC');
  if (password === '' || [...password].length > MAX_CODE_POINTS) {
    throw new InvalidValue(`must be at most ${MAX_CODE_POINTS} characters long`);
  }
  return password as Password;
}

/**
 * A password that somebody wants to have from now on (NIST SP 800-63B-4 section 3.1.1.2: length and a blocklist with
 * the words of the context, no rules of composition).
 * @param context what an attacker knows of the account, such as the email and the name
 * @throws InvalidValue
 */
export function parseNewPassword(text: string, policy: PasswordPolicy, context: string[]): Password {
  const password = parsePresentedPassword(text);
  if ([...password].length < policy.minLength) {
    throw new InvalidValue(`must be at least ${policy.minLength} characters long`);
  }
  const lowerCase = password.toLowerCase();
  if (policy.isCommon(lowerCase)) throw new InvalidValue('is one of the passwords that everyone tries first');
  if (isBuiltFrom(lowerCase, context))
    throw new InvalidValue("must not be made of the email, the name or this product's name");
  return password;
}

/** Whether little is left of the password when the words of its context are taken out. */
function isBuiltFrom(lowerCase: string, context: string[]): boolean {
  const words = [...context, PRODUCT_NAME]
    .map((text) => text.slice(0, MAX_CONTEXT_LENGTH))
    .flatMap((text) => [text, ...text.split(/[@\s]/u), ...text.split(/[^\p{L}\p{N}]/u)])
    .map((word) => word.toLowerCase())
    .filter((word) => word.length >= MIN_CONTEXT_LENGTH)
    .sort((a, b) => b.length - a.length);
  const rest = words.reduce((left, word) => left.replaceAll(word, ''), lowerCase);
  return rest !== lowerCase && rest.replace(/[^\p{L}\p{N}]/gu, '').length < MIN_REST;
}
