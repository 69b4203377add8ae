import { randomBytes } from 'node:crypto';
import type { Argon2Parameters } from './hash-work.ts';
import { parseArgon2, parseBcryptCost, parseImportedHash, TooCostly } from './stored-hash.ts';

export type HashKind = {
  family: string;
  /** In units of the family. Units add up: hashes of 1 and 3 units take as long as one of 4 units. */
  work: number;
};

const DIGEST_BYTES: Record<string, number> = { sha1: 20, sha256: 32, sha512: 64 };
const BCRYPT_BASE64 = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** A PBKDF2 decoy with more rounds is split into several. */
const MAX_PBKDF2_ROUNDS = 2_000_000;

export function kindOf(hash: string): HashKind | null {
  try {
    const argon2 = parseArgon2(hash);
    if (argon2) return kindOfArgon2(argon2, argon2.type);
    const cost = parseBcryptCost(hash);
    if (cost !== null) return { family: 'bcrypt', work: 2 ** cost };
    const imported = parseImportedHash(hash);
    if (imported?.algorithm === 'scrypt') return { family: imported.prefix, work: 1 };
    if (!imported) return null;
    // Each block of the digest takes all rounds.
    const blocks = Math.ceil(imported.digestBytes / (DIGEST_BYTES[imported.digest] ?? 1));
    return { family: `pbkdf2-${imported.digest}`, work: imported.rounds * blocks };
  } catch (error) {
    if (error instanceof TooCostly) return null;
    throw error;
  }
}

export function kindOfArgon2({ memoryKib, iterations, parallelism }: Argon2Parameters, type = 'id'): HashKind {
  return { family: `$argon2${type}$v=19$m=${memoryKib},t=${iterations},p=${parallelism}`, work: 1 };
}

export function decoysOf({ family, work }: HashKind): string[] {
  if (work === 0) return [];
  if (family === 'bcrypt') return bcryptDecoys(work);
  const [, digest = ''] = /^pbkdf2-(.+)$/.exec(family) ?? [];
  if (digest !== '') return pbkdf2Decoys(digest, work);
  return [`${family}$${random(16)}$${random(32)}`];
}

/** A hash of cost c takes 2^c units, so the bits of the work are the costs. */
function bcryptDecoys(work: number): string[] {
  const text = [...randomBytes(53)].map((byte) => BCRYPT_BASE64[byte % 64]).join('');
  const costs = Array.from({ length: 32 }, (_, cost) => cost).filter((cost) => (work / 2 ** cost) % 2 >= 1);
  // The salt's last character holds two bits.
  return costs.map((cost) => `$2b$${String(cost).padStart(2, '0')}$${text.slice(0, 21)}O${text.slice(22)}`);
}

function pbkdf2Decoys(digest: string, work: number): string[] {
  const full = Array<number>(Math.floor(work / MAX_PBKDF2_ROUNDS)).fill(MAX_PBKDF2_ROUNDS);
  return [...full, work % MAX_PBKDF2_ROUNDS]
    .filter((rounds) => rounds > 0)
    .map((rounds) => `$pbkdf2-${digest}$${rounds}$${random(16)}$${random(DIGEST_BYTES[digest] ?? 32)}`);
}

function random(bytes: number): string {
  return randomBytes(bytes).toString('base64').replace(/=+$/, '');
}

/** An estimate for a server core, to separate acceptable hashes from too costly ones. */
export function estimateMs({ family, work }: HashKind): number {
  const [, memoryKib, iterations] = /^\$argon2\w+\$v=19\$m=(\d+),t=(\d+),/.exec(family) ?? [];
  if (memoryKib !== undefined) return Number(memoryKib) * Number(iterations) * 0.0007;
  const [, logN, blockSize, lanes] = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)$/.exec(family) ?? [];
  if (logN !== undefined) return 2 ** Number(logN) * Number(blockSize) * Number(lanes) * 0.0004;
  const unitMs = { bcrypt: 0.05, 'pbkdf2-sha1': 0.0002, 'pbkdf2-sha256': 0.00035, 'pbkdf2-sha512': 0.0005 }[family];
  return work * (unitMs ?? 0);
}
