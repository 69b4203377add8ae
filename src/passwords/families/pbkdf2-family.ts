import { pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { assertCost, type HashFamily, isWithin } from '../hash-family.ts';
import { areEqual, BASE64, decodeDigest, decodeSalt, randomBase64 } from '../hash-text.ts';

const derive = promisify(pbkdf2);

/** A decoy with more rounds is split into several. */
const MAX_ROUNDS = 2_000_000;
const DIGESTS: Record<string, { bytes: number; roundMs: number }> = {
  sha1: { bytes: 20, roundMs: 0.0002 },
  sha256: { bytes: 32, roundMs: 0.00035 },
  sha512: { bytes: 64, roundMs: 0.0005 },
};
const FORM = new RegExp(
  String.raw`^\$pbkdf2-(sha1|sha256|sha512)\$(?:i=)?(\d{1,10})(?:,l=\d{1,3})?\$(${BASE64})\$(${BASE64})$`,
);

export const pbkdf2Family: HashFamily = {
  parse(text) {
    const [, digest = '', iterations, salt = '', key = ''] = FORM.exec(text) ?? [];
    const [saltBytes, stored] = [decodeSalt(salt), decodeDigest(key)];
    if (!saltBytes || !stored) return null;
    const rounds = Number(iterations);
    assertCost(isWithin(rounds, 1, MAX_ROUNDS));
    // Each block of the digest takes all rounds.
    const blocks = Math.ceil(stored.length / sizeOf(digest));
    return {
      kind: { family: `pbkdf2-${digest}`, work: rounds * blocks },
      compare: async (password) => areEqual(await derive(password, saltBytes, rounds, stored.length, digest), stored),
    };
  },
  owns: (family) => family.startsWith('pbkdf2-'),
  decoys({ family, work }) {
    const full = Array<number>(Math.floor(work / MAX_ROUNDS)).fill(MAX_ROUNDS);
    return [...full, work % MAX_ROUNDS]
      .filter((rounds) => rounds > 0)
      .map((rounds) => `$${family}$i=${rounds}$${randomBase64(16)}$${randomBase64(sizeOf(digestOf(family)))}`);
  },
  estimateMs: ({ family, work }) => work * (DIGESTS[digestOf(family)]?.roundMs ?? 0),
};

function digestOf(family: string): string {
  return family.slice('pbkdf2-'.length);
}

function sizeOf(digest: string): number {
  return DIGESTS[digest]?.bytes ?? 1;
}
