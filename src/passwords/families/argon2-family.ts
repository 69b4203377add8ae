import argon2 from 'argon2';
import { assertCost, type HashFamily, isWithin } from '../hash-family.ts';
import { decodeDigest, decodeSalt, randomBase64 } from '../hash-text.ts';

export type StoredArgon2 = { type: string; memoryKib: number; iterations: number; parallelism: number };

const MAX_PARALLELISM = 16;
/** The bounds of the configuration (ARGON2_*), which are wider than those of imports. */
const OWN = { memoryKib: 4 * 1024 * 1024, iterations: 100 };
const MS_PER_KIB = 0.0007;

/** The parameters have any order. Version 16 is the one before RFC 9106; its texts may leave the version out. */
const FORM =
  /^\$argon2(id|i|d)(?:\$v=(16|19))?\$([mtp])=(\d{1,7}),([mtp])=(\d{1,7}),([mtp])=(\d{1,7})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;
const KIND = /^\$argon2\w+(?:\$v=\d\d)?\$m=(\d+),t=(\d+),/;

export const argon2Family: HashFamily = {
  parse(text) {
    const parameters = parseArgon2(text);
    if (!parameters) return null;
    return { kind: kindOfArgon2(parameters, text), compare: (password) => argon2.verify(text, password) };
  },
  owns: (family) => KIND.test(family),
  decoys: ({ family }) => [`${family}$${randomBase64(16)}$${randomBase64(32)}`],
  estimateMs({ family, work }) {
    const [, memoryKib, iterations] = KIND.exec(family) ?? [];
    return work * Number(memoryKib) * Number(iterations) * MS_PER_KIB;
  },
};

/** Null for any other text. @throws TooCostly beyond the bounds of this service's own hashes */
export function parseArgon2(text: string): StoredArgon2 | null {
  const [, type, , a = '', x, b = '', y, c = '', z, salt = '', digest = ''] = FORM.exec(text) ?? [];
  if (type === undefined || new Set([a, b, c]).size < 3) return null;
  if (!decodeDigest(digest) || !decodeSalt(salt)) return null;
  const values: Record<string, number> = { [a]: Number(x), [b]: Number(y), [c]: Number(z) };
  const { m: memoryKib = 0, t: iterations = 0, p: parallelism = 0 } = values;
  assertCost(
    isWithin(parallelism, 1, MAX_PARALLELISM) &&
      isWithin(memoryKib, 8 * parallelism, OWN.memoryKib) &&
      isWithin(iterations, 1, OWN.iterations),
  );
  return { type, memoryKib, iterations, parallelism };
}

export function kindOfArgon2(
  { type, memoryKib, iterations, parallelism }: StoredArgon2,
  text = '$argon2id$v=19$',
): { family: string; work: number } {
  const version = text.includes('$v=19$') ? '$v=19' : '$v=16';
  return { family: `$argon2${type}${version}$m=${memoryKib},t=${iterations},p=${parallelism}`, work: 1 };
}
