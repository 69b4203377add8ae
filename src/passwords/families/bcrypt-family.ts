// bcrypt reads 72 bytes and stops at a NUL. Some systems compute it over another digest of the password.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import bcrypt from 'bcrypt';
import { assertCost, type HashFamily, isWithin } from '../hash-family.ts';
import { exponentsOf } from '../hash-text.ts';

type Input = (password: string, salt: string) => string;

const [MIN_COST, MAX_COST] = [4, 15];
const UNIT_MS = 0.05;
const ALPHABET = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const PLAIN = /^\$2([abxy])\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/;
const OVER_DIGEST = /^\$bcrypt-([a-z0-9-]{3,20})\$r=(\d\d)\$([./A-Za-z0-9]{22})\$([./A-Za-z0-9]{31})$/;

/** By the name in the stored form `$bcrypt-<name>$r=<cost>$<salt>$<digest>`. */
const INPUTS: Record<string, Input> = {
  // Django's BCryptSHA256PasswordHasher
  'sha256-hex': (password) => createHash('sha256').update(password).digest('hex'),
  // passlib's bcrypt_sha256, version 1 and 2
  'sha256-base64': (password) => createHash('sha256').update(password).digest('base64'),
  'hmac-sha256': (password, salt) => createHmac('sha256', salt).update(password).digest('base64'),
  // WordPress since 6.8
  'hmac-sha384': (password) => createHmac('sha384', 'wp-sha384').update(password).digest('base64'),
};

export const bcryptFamily: HashFamily = {
  parse(text) {
    const [, minor, cost, salt = '', digest = ''] = PLAIN.exec(text) ?? [];
    if (minor === undefined) return parseOverDigest(text);
    assertCost(isWithin(Number(cost), MIN_COST, MAX_COST));
    return {
      kind: { family: 'bcrypt', work: 2 ** Number(cost) },
      // `$2y$` is PHP's name for `$2b$`. `$2a$` differs only in defects of old implementations. `$2x$` is PHP's defect
      // with bytes beyond ASCII, which no library computes.
      compare: async (password) =>
        (await bcrypt.compare(password, `$2b$${cost}$${salt}${digest}`)) && (minor !== 'x' || isAscii(password)),
    };
  },
  owns: (family) => family === 'bcrypt',
  /** A hash of cost c takes 2^c units, so the bits of the work are the costs. */
  decoys: ({ work }) => exponentsOf(work).map(decoy),
  estimateMs: ({ work }) => work * UNIT_MS,
};

function parseOverDigest(text: string): ReturnType<HashFamily['parse']> {
  const [, name = '', cost, salt = '', digest = ''] = OVER_DIGEST.exec(text) ?? [];
  const input = Object.hasOwn(INPUTS, name) ? INPUTS[name] : undefined;
  if (!input) return null;
  assertCost(isWithin(Number(cost), MIN_COST, MAX_COST));
  return {
    kind: { family: 'bcrypt', work: 2 ** Number(cost) },
    compare: (password) => bcrypt.compare(input(password, salt), `$2b$${cost}$${salt}${digest}`),
  };
}

function decoy(cost: number): string {
  const text = [...randomBytes(53)].map((byte) => ALPHABET[byte % 64]).join('');
  // The salt's last character holds two bits.
  return `$2b$${String(cost).padStart(2, '0')}$${text.slice(0, 21)}O${text.slice(22)}`;
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
