// Password hashes of other systems, in the strings that those write, and what one may cost: somebody else has chosen their parameters,
// and whoever signs in has them computed.
import { pbkdf2, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

type ForeignHash = { compare(password: string): Promise<boolean> };

const derivePbkdf2 = promisify(pbkdf2);
const deriveScrypt = promisify<string, Buffer, number, object, Buffer>(scrypt);

const MAX_ARGON2_MEMORY_KIB = 262_144;
const MAX_ARGON2_ITERATIONS = 20;
const MAX_ARGON2_PARALLELISM = 16;
const MAX_BCRYPT_COST = 15;
const MAX_SCRYPT_BYTES = 256 * 1024 * 1024;
const MAX_SCRYPT_PARALLELISM = 8;
const MAX_PBKDF2_ITERATIONS = 2_000_000;
const [MIN_DIGEST_BYTES, MAX_DIGEST_BYTES] = [16, 64];

/** Its parameters come in either order. */
const ARGON2 =
  /^\$argon2(?:id|i|d)\$v=19\$m=(\d{1,7}),([tp])=(\d{1,4}),([tp])=(\d{1,4})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$/;
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
/** PHC, and passlib's, which writes a dot for a plus. */
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/.]{1,128})\$([A-Za-z0-9+/.]{22,88})$/;
const PBKDF2 =
  /^\$pbkdf2-(sha1|sha256|sha512)\$(?:i=)?(\d{1,8})(?:,l=\d{1,3})?\$([A-Za-z0-9+/.]{1,128})\$([A-Za-z0-9+/.]{22,88})$/;
const DJANGO_PBKDF2 = /^pbkdf2_(sha1|sha256)\$(\d{1,8})\$([^$]{1,128})\$([A-Za-z0-9+/]{22,88}={0,2})$/;

/** Why a hash cannot be taken over, in words that do not repeat it; null when it can. */
export function refuseHash(text: string): string | null {
  const [, memory, one = '', first, other = '', second] = ARGON2.exec(text) ?? [];
  if (memory !== undefined && one !== other) {
    const { t, p } = { [one]: Number(first), [other]: Number(second) } as Record<'t' | 'p', number>;
    const isBounded =
      isWithin(Number(memory), 8, MAX_ARGON2_MEMORY_KIB) &&
      isWithin(t, 1, MAX_ARGON2_ITERATIONS) &&
      isWithin(p, 1, MAX_ARGON2_PARALLELISM);
    return isBounded ? null : TOO_COSTLY;
  }
  const [, cost] = BCRYPT.exec(text) ?? [];
  if (cost !== undefined) return isWithin(Number(cost), 4, MAX_BCRYPT_COST) ? null : TOO_COSTLY;
  try {
    return parseForeignHash(text) ? null : UNKNOWN;
  } catch (error) {
    if (error instanceof TooCostly) return TOO_COSTLY;
    throw error;
  }
}

const TOO_COSTLY = 'costs more, or less, than a sign-in may';
const UNKNOWN = 'is no argon2, bcrypt, scrypt or PBKDF2 hash in its standard form';

class TooCostly extends Error {}

/** Of scrypt and PBKDF2; null for any other. @throws when it costs more than a sign-in may */
export function parseForeignHash(text: string): ForeignHash | null {
  return parseScrypt(text) ?? parsePbkdf2(text);
}

function parseScrypt(text: string): ForeignHash | null {
  const [, logN, r, p, salt = '', digest = ''] = SCRYPT.exec(text) ?? [];
  if (logN === undefined) return null;
  const [cost, blockSize, parallelization] = [2 ** Number(logN), Number(r), Number(p)];
  const memory = 128 * cost * blockSize;
  if (cost < 2 || blockSize < 1 || memory > MAX_SCRYPT_BYTES || !isWithin(parallelization, 1, MAX_SCRYPT_PARALLELISM)) {
    throw new TooCostly();
  }
  // The library wants more than it needs.
  const options = { cost, blockSize, parallelization, maxmem: 2 * memory + 1024 * 1024 };
  return against(decode(digest), (password, length) => deriveScrypt(password, decode(salt), length, options));
}

function parsePbkdf2(text: string): ForeignHash | null {
  const phc = PBKDF2.exec(text);
  const [, algorithm, iterations, salt = '', digest = ''] = phc ?? DJANGO_PBKDF2.exec(text) ?? [];
  if (algorithm === undefined) return null;
  const rounds = Number(iterations);
  if (!isWithin(rounds, 1, MAX_PBKDF2_ITERATIONS)) throw new TooCostly();
  // Django's salt is a text, and not encoded.
  const saltBytes = phc ? decode(salt) : Buffer.from(salt);
  return against(decode(digest), (password, length) => derivePbkdf2(password, saltBytes, rounds, length, algorithm));
}

function against(digest: Buffer, derive: (password: string, length: number) => Promise<Buffer>): ForeignHash | null {
  if (!isWithin(digest.length, MIN_DIGEST_BYTES, MAX_DIGEST_BYTES)) return null;
  return { compare: async (password) => timingSafeEqual(await derive(password, digest.length), digest) };
}

function decode(text: string): Buffer {
  return Buffer.from(text.replaceAll('.', '+'), 'base64');
}

function isWithin(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}
