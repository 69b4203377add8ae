// phpass's portable hashes, of WordPress and phpBB over MD5 and of Drupal over SHA-512.
import { hash } from 'node:crypto';
import { assertCost, type HashFamily, isWithin } from '../hash-family.ts';
import { areEqual, BASE64, decodeSalt, exponentsOf, randomBase64 } from '../hash-text.ts';
import { repeatInPieces } from '../repeat-in-pieces.ts';

const [MIN_LOG_ROUNDS, MAX_LOG_ROUNDS] = [7, 20];
const CRYPT64 = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const FORM = new RegExp(String.raw`^\$phpass-(md5|sha512)\$ln=(\d{1,2})\$(${BASE64})\$([./0-9A-Za-z]{22,86})$`);
/** Drupal cuts the text of its digest off. */
const DIGEST_LENGTH: Record<string, number> = { md5: 22, sha512: 43 };
const ROUND_MS = 0.0015;

export const phpassFamily: HashFamily = {
  parse(text) {
    const [, algorithm = '', logRounds, salt = '', digest = ''] = FORM.exec(text) ?? [];
    const saltBytes = decodeSalt(salt);
    if (!saltBytes || digest.length !== DIGEST_LENGTH[algorithm]) return null;
    assertCost(isWithin(Number(logRounds), MIN_LOG_ROUNDS, MAX_LOG_ROUNDS));
    const rounds = 2 ** Number(logRounds);
    return {
      kind: { family: `phpass-${algorithm}`, work: rounds },
      async compare(password) {
        const typed = Buffer.from(password);
        const digestOf = (bytes: Buffer) => hash(algorithm, Buffer.concat([bytes, typed]), 'buffer');
        const computed = await repeatInPieces(rounds, digestOf(saltBytes), digestOf);
        return areEqual(Buffer.from(encode(computed).slice(0, digest.length)), Buffer.from(digest));
      },
    };
  },
  owns: (family) => family.startsWith('phpass-'),
  decoys: ({ family, work }) =>
    exponentsOf(work).map(
      (log) => `$${family}$ln=${log}$${randomBase64(6)}$${'A'.repeat(family === 'phpass-md5' ? 22 : 43)}`,
    ),
  estimateMs: ({ work }) => work * ROUND_MS,
};

/** Three bytes become four characters, the lowest six bits first. */
function encode(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const group = [...bytes.subarray(at, at + 3)];
    const value = group.reduce((sum, byte, n) => sum + byte * 256 ** n, 0);
    for (let k = 0; k <= group.length; k += 1) text += CRYPT64[Math.floor(value / 64 ** k) % 64];
  }
  return text;
}
