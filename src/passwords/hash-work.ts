// The work itself: slow on purpose, some twenty milliseconds of a core each.
import argon2, { type HashOptions } from 'argon2';
import bcrypt from 'bcrypt';
import { parseForeignHash } from './foreign-hash.ts';

/** argon2id (RFC 9106). */
export type Argon2Parameters = { memoryKib: number; iterations: number; parallelism: number };

export type HashWork = {
  /** A PHC string with a random salt. */
  hash(password: string, parameters: Argon2Parameters): Promise<string>;
  compare(hash: string, password: string): Promise<boolean>;
};

/** What other systems write: `$2y$` is PHP's name for `$2b$`; `$2a$` differs in defects of old writers only. */
const BCRYPT = /^\$2[aby](\$\d\d\$[./A-Za-z0-9]{53})$/;
/** bcrypt looks at no more: what is longer would match whatever follows, so it matches nothing. */
const BCRYPT_MAX_BYTES = 72;

/** In the thread pool of this process. */
export const workHere: HashWork = {
  hash: (password, parameters) => argon2.hash(password, argon2Options(parameters)),

  async compare(hash, password) {
    const foreign = parseForeignHash(hash);
    if (foreign) return foreign.compare(password);
    const [, rest] = BCRYPT.exec(hash) ?? [];
    if (!rest) return argon2.verify(hash, password);
    const fits = Buffer.byteLength(password) <= BCRYPT_MAX_BYTES;
    return (await bcrypt.compare(password, `$2b${rest}`)) && fits;
  },
};

export function argon2Options({ memoryKib, iterations, parallelism }: Argon2Parameters): HashOptions {
  return { type: argon2.argon2id, memoryCost: memoryKib, timeCost: iterations, parallelism };
}
