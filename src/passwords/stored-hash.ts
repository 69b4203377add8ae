// The cost of each hash is bounded, because every attempt to sign in computes it.
import { pbkdf2, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

type ImportedHash = { compare(password: string): Promise<boolean>; digestBytes: number } & (
  | { algorithm: 'scrypt' /** The text up to the salt. */; prefix: string }
  | { algorithm: 'pbkdf2' /** `sha256` and the like. */; digest: string; rounds: number }
);

type StoredArgon2 = { type: string; memoryKib: number; iterations: number; parallelism: number };

const derivePbkdf2 = promisify(pbkdf2);
const deriveScrypt = promisify<string, Buffer, number, object, Buffer>(scrypt);

const MAX_ARGON2_MEMORY_KIB = 262_144;
const MAX_ARGON2_ITERATIONS = 20;
const MAX_ARGON2_PARALLELISM = 16;
/** The bounds of the configuration (ARGON2_*), which are wider than those of imports. */
const OWN_ARGON2 = { memoryKib: 4 * 1024 * 1024, iterations: 100 };
const [MIN_BCRYPT_COST, MAX_BCRYPT_COST] = [4, 15];
const MAX_SCRYPT_BYTES = 256 * 1024 * 1024;
const MAX_SCRYPT_PARALLELISM = 8;
const MAX_PBKDF2_ITERATIONS = 2_000_000;
const [MIN_DIGEST_BYTES, MAX_DIGEST_BYTES] = [16, 64];

const ARGON2 =
  /^\$argon2(id|i|d)\$v=19\$m=(\d{1,7}),([tp])=(\d{1,4}),([tp])=(\d{1,4})\$[A-Za-z0-9+/]{11,86}\$([A-Za-z0-9+/]{22,86})$/;
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
/** The PHC form, and passlib's, which has a dot in place of a plus. */
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/.]{1,128})\$([A-Za-z0-9+/.]{22,88})$/;
const PBKDF2 =
  /^\$pbkdf2-(sha1|sha256|sha512)\$(?:i=)?(\d{1,8})(?:,l=\d{1,3})?\$([A-Za-z0-9+/.]{1,128})\$([A-Za-z0-9+/.]{22,88})$/;
const DJANGO_PBKDF2 = /^pbkdf2_(sha1|sha256)\$(\d{1,8})\$([^$]{1,128})\$([A-Za-z0-9+/]{22,88}={0,2})$/;

/** The reason why a hash cannot be imported, without the hash itself. */
export function importProblem(text: string): string | null {
  try {
    const argon2 = parseArgon2(text);
    const isCostly = argon2 && (argon2.memoryKib > MAX_ARGON2_MEMORY_KIB || argon2.iterations > MAX_ARGON2_ITERATIONS);
    if (isCostly) return TOO_COSTLY;
    return argon2 || parseBcryptCost(text) !== null || parseImportedHash(text) ? null : UNKNOWN;
  } catch (error) {
    if (error instanceof TooCostly) return TOO_COSTLY;
    throw error;
  }
}

/** Null for any other text. @throws TooCostly beyond the bounds of this service's own hashes */
export function parseArgon2(text: string): StoredArgon2 | null {
  const [, type, memory, one = '', first, other = '', second, digest = ''] = ARGON2.exec(text) ?? [];
  if (type === undefined || one === other || !decodeDigest(digest)) return null;
  const { t, p } = { [one]: Number(first), [other]: Number(second) } as Record<'t' | 'p', number>;
  const memoryKib = Number(memory);
  const isBounded =
    isWithin(memoryKib, 8 * p, OWN_ARGON2.memoryKib) &&
    isWithin(t, 1, OWN_ARGON2.iterations) &&
    isWithin(p, 1, MAX_ARGON2_PARALLELISM);
  if (!isBounded) throw new TooCostly();
  return { type, memoryKib, iterations: t, parallelism: p };
}

/** Null for any other text. @throws TooCostly for a cost out of bounds */
export function parseBcryptCost(text: string): number | null {
  const [, cost] = BCRYPT.exec(text) ?? [];
  if (cost === undefined) return null;
  if (!isWithin(Number(cost), MIN_BCRYPT_COST, MAX_BCRYPT_COST)) throw new TooCostly();
  return Number(cost);
}

const TOO_COSTLY = 'costs more or less than a sign-in may';
const UNKNOWN = 'must be an argon2, bcrypt, scrypt or PBKDF2 hash in its standard form';

export class TooCostly extends Error {}

/** Parses scrypt and PBKDF2. Null for any other text. @throws TooCostly for a cost out of bounds */
export function parseImportedHash(text: string): ImportedHash | null {
  return parseScrypt(text) ?? parsePbkdf2(text);
}

function parseScrypt(text: string): ImportedHash | null {
  const [, logN, r, p, salt = '', digest = ''] = SCRYPT.exec(text) ?? [];
  if (logN === undefined) return null;
  const [cost, blockSize, parallelization] = [2 ** Number(logN), Number(r), Number(p)];
  const memory = 128 * cost * blockSize;
  if (cost < 2 || blockSize < 1 || memory > MAX_SCRYPT_BYTES || !isWithin(parallelization, 1, MAX_SCRYPT_PARALLELISM)) {
    throw new TooCostly();
  }
  // Node requires a limit above the memory that it uses.
  const options = { cost, blockSize, parallelization, maxmem: 2 * memory + 1024 * 1024 };
  const comparable = comparison(decodeDigest(digest), (password, length) =>
    deriveScrypt(password, decode(salt), length, options),
  );
  return comparable && { algorithm: 'scrypt', prefix: `$scrypt$ln=${logN},r=${r},p=${p}`, ...comparable };
}

function parsePbkdf2(text: string): ImportedHash | null {
  const phc = PBKDF2.exec(text);
  const [, algorithm, iterations, salt = '', digest = ''] = phc ?? DJANGO_PBKDF2.exec(text) ?? [];
  if (algorithm === undefined) return null;
  const rounds = Number(iterations);
  if (!isWithin(rounds, 1, MAX_PBKDF2_ITERATIONS)) throw new TooCostly();
  // Django's salt is plain text, not base64.
  const saltBytes = phc ? decode(salt) : Buffer.from(salt);
  const comparable = comparison(decodeDigest(digest), (password, length) =>
    derivePbkdf2(password, saltBytes, rounds, length, algorithm),
  );
  return comparable && { algorithm: 'pbkdf2', digest: algorithm, rounds, ...comparable };
}

function comparison(
  digest: Buffer | null,
  derive: (password: string, length: number) => Promise<Buffer>,
): Pick<ImportedHash, 'compare' | 'digestBytes'> | null {
  if (!digest) return null;
  return {
    digestBytes: digest.length,
    compare: async (password) => timingSafeEqual(await derive(password, digest.length), digest),
  };
}

function decode(text: string): Buffer {
  return Buffer.from(text.replaceAll('.', '+'), 'base64');
}

function decodeDigest(text: string): Buffer | null {
  const base64 = text.replaceAll('.', '+').replace(/=+$/, '');
  const bytes = decode(base64);
  const isWhole = bytes.toString('base64').replace(/=+$/, '') === base64;
  return isWhole && isDigest(bytes) ? bytes : null;
}

/** All digests in use are multiples of 32 bits. Most truncated texts are not. */
function isDigest({ length }: Buffer): boolean {
  return isWithin(length, MIN_DIGEST_BYTES, MAX_DIGEST_BYTES) && length % 4 === 0;
}

function isWithin(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}
