import { InvalidValue } from './parse-fields.ts';
import { countPieces, repeatedUnit } from './password-patterns.ts';

declare const brand: unique symbol;
/** NFC, of an acceptable length, without NUL. */
export type Password = string & { readonly [brand]: 'Password' };

export type PresentedPassword = {
  password: Password;
  /** The text as the client sent it, when that is not the NFC. Hashes of other systems can be of this form. */
  unnormalized: string | null;
};

export type PasswordPolicy = {
  /** In code points; at least 8. */
  minLength: number;
  /** Whether a text in lower case is a common password, or a word that common passwords contain. */
  isCommon: (lowerCase: string) => boolean;
  /** The deployment's own words, such as its name. */
  contextWords: string[];
};

const MAX_CODE_POINTS = 256;
/** The bound in UTF-16 units is checked first, so that nothing long is processed. */
const MAX_UNITS = 4 * MAX_CODE_POINTS;
const PRODUCT_NAME = 'latchkey';
/** Shorter words can be in a strong password by chance. */
const MIN_CONTEXT_LENGTH = 4;
/** Longer than any valid email or name, because the context may not have been validated yet. */
const MAX_CONTEXT_LENGTH = 300;
/** The pieces that a password needs beside one known word, and as a whole. */
const MIN_REST = 4;
const MIN_PIECES = 5;
/** The longest prefix and suffix around a word, in characters. */
const [MAX_PREFIX, MAX_SUFFIX] = [6, 12];
/** The longest word of any list. */
const MAX_WORD = 64;
/** A digit or mark that replaces two letters has one in each alphabet. */
const LEET = [
  {
    '0': 'o',
    '1': 'i',
    '!': 'i',
    '3': 'e',
    '4': 'a',
    '@': 'a',
    '5': 's',
    $: 's',
    '7': 't',
    '+': 't',
    '8': 'b',
    '9': 'g',
  },
  {
    '0': 'o',
    '1': 'l',
    '|': 'l',
    '3': 'e',
    '4': 'a',
    '@': 'a',
    '5': 's',
    $: 's',
    '7': 't',
    '6': 'g',
    '(': 'c',
    '2': 'z',
  },
].map((letters) => new Map(Object.entries(letters)));

/** Checks only the requirements of hashing. @throws InvalidValue */
export function parsePresentedPassword(text: string): PresentedPassword {
  const password = parsePassword(text);
  return { password, unnormalized: password === text ? null : text };
}

/** @throws InvalidValue */
function parsePassword(text: string): Password {
  if (text === '') throw new InvalidValue('is required');
  if (text.includes('\0')) throw new InvalidValue('must have no NUL character');
  // Decoders replace invalid bytes by this character, which would make different passwords equal.
  if (text.includes('\ufffd')) throw new InvalidValue('must be valid UTF-8');
  const password = text.length > MAX_UNITS ? '' : text.normalize('NFC');
  if (password === '' || [...password].length > MAX_CODE_POINTS) {
    throw new InvalidValue(`must be at most ${MAX_CODE_POINTS} characters long`);
  }
  return password as Password;
}

/**
 * NIST SP 800-63B-4 section 3.1.1.2: length and a blocklist with the words of the context, no rules of composition.
 * @param context texts of the account that an attacker can know, such as the email and the name
 * @throws InvalidValue
 */
export function parseNewPassword(text: string, policy: PasswordPolicy, context: string[]): Password {
  const password = parsePassword(text);
  if ([...password].length < policy.minLength) {
    throw new InvalidValue(`must be at least ${policy.minLength} characters long`);
  }
  const lowerCase = password.toLowerCase();
  if (isBuiltFrom(lowerCase, context)) {
    throw new InvalidValue("must not be made of the email, the name or this product's name: choose other words");
  }
  if (isBuiltFrom(lowerCase, policy.contextWords)) {
    throw new InvalidValue("must not be made of one of this deployment's own words: choose other words");
  }
  const problem = problemOf(lowerCase, policy);
  if (problem !== null) throw new InvalidValue(problem);
  return password;
}

function problemOf(lowerCase: string, policy: PasswordPolicy): string | null {
  const unit = repeatedUnit(lowerCase);
  if (unit !== null && [...unit].length < policy.minLength) {
    return 'must not be a short text that is repeated: choose several words';
  }
  const core = unit ?? lowerCase;
  if (countPieces(core) < MIN_PIECES) {
    return 'must not be a repetition, a run such as 4567 or defg, a date, or keys side by side: choose several words';
  }
  return isCommonWord(core, policy) ? 'is one of the passwords that everyone tries first: choose several words' : null;
}

/** Allows for a short prefix or suffix. Digits and marks also count as the letters they replace. */
function isCommonWord(lowerCase: string, { isCommon }: PasswordPolicy): boolean {
  if (lowerCase.length > MAX_PREFIX + MAX_WORD + MAX_SUFFIX) return false;
  if (isCommon(lowerCase)) return true;
  const spellings = spellingsOf(lowerCase);
  const suffix = /[^\p{L}]*$/u.exec(lowerCase)?.[0] ?? '';
  const prefix = /^[^\p{L}]*/u.exec(lowerCase)?.[0] ?? '';
  for (let start = 0; start <= Math.min(prefix.length, MAX_PREFIX); start += 1) {
    for (let cut = 0; cut <= Math.min(suffix.length, MAX_SUFFIX); cut += 1) {
      const end = lowerCase.length - cut;
      const isWord = end - start >= MIN_CONTEXT_LENGTH && spellings.some((one) => isCommon(one.slice(start, end)));
      if (isWord && countPieces(lowerCase.slice(0, start) + lowerCase.slice(end)) < MIN_REST) return true;
    }
  }
  return false;
}

/** Whether little remains of the password without the words of its context. */
function isBuiltFrom(lowerCase: string, context: string[]): boolean {
  const words = [...context, PRODUCT_NAME]
    .map((text) => text.slice(0, MAX_CONTEXT_LENGTH))
    .flatMap((text) => [text, ...text.split(/[@\s]/u), ...text.split(/[^\p{L}\p{N}]/u)])
    .map((word) => word.toLowerCase())
    .filter((word) => word.length >= MIN_CONTEXT_LENGTH)
    .sort((a, b) => b.length - a.length);
  return spellingsOf(lowerCase).some((spelling) => {
    const isKnown = new Array<boolean>(spelling.length).fill(false);
    for (const word of words) {
      for (let at = spelling.indexOf(word); at >= 0; at = spelling.indexOf(word, at + word.length)) {
        isKnown.fill(true, at, at + word.length);
      }
    }
    const rest = Array.from({ length: spelling.length }, (_, at) => (isKnown[at] ? '' : lowerCase[at])).join('');
    return rest !== lowerCase && countPieces(rest.replace(/[^\p{L}\p{N}]/gu, '')) < MIN_REST;
  });
}

function spellingsOf(lowerCase: string): string[] {
  return [lowerCase, ...LEET.map((letters) => [...lowerCase].map((one) => letters.get(one) ?? one).join(''))];
}
