// scrypt (RFC 7914), and two systems that add a step: better-auth normalises the password by NFKC, and Firebase encrypts
// a key of the project with the derived key.
import { createCipheriv, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { assertCost, type HashFamily, isWithin } from '../hash-family.ts';
import { areEqual, BASE64, decodeDigest, decodeSalt, randomBase64 } from '../hash-text.ts';

const derive = promisify<string, Buffer, number, object, Buffer>(scrypt);

const MAX_BYTES = 256 * 1024 * 1024;
const MAX_LANES = 8;
const BLOCK_MS = 0.0004;
const FORM = new RegExp(
  String.raw`^\$scrypt(|-nfkc|-firebase)\$ln=(\d{1,3}),r=(\d{1,3}),p=(\d{1,3})\$(${BASE64})\$(${BASE64})$`,
);
const KIND = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)$/;

export const scryptFamily: HashFamily = {
  parse(text) {
    const [, variant = '', logN, r, p, salt = '', digest = ''] = FORM.exec(text) ?? [];
    const [saltBytes, stored] = [decodeSalt(salt), decodeDigest(digest)];
    if (!saltBytes || !stored) return null;
    const [cost, blockSize, parallelization] = [2 ** Number(logN), Number(r), Number(p)];
    const memory = 128 * cost * blockSize;
    assertCost(cost >= 2 && blockSize >= 1 && memory <= MAX_BYTES && isWithin(parallelization, 1, MAX_LANES));
    // Node requires a limit above the memory that it uses.
    const options = { cost, blockSize, parallelization, maxmem: 2 * memory + 1024 * 1024 };
    return {
      kind: { family: `$scrypt$ln=${logN},r=${r},p=${p}`, work: 1 },
      async compare(password) {
        if (variant === '-firebase') return areEqual(keyStream(await derive(password, saltBytes, 32, options)), stored);
        const input = variant === '-nfkc' ? password.normalize('NFKC') : password;
        return areEqual(await derive(input, saltBytes, stored.length, options), stored);
      },
    };
  },
  owns: (family) => KIND.test(family),
  decoys: ({ family }) => [`${family}$${randomBase64(16)}$${randomBase64(32)}`],
  estimateMs({ family, work }) {
    const [, logN, blockSize, lanes] = KIND.exec(family) ?? [];
    return work * 2 ** Number(logN) * Number(blockSize) * Number(lanes) * BLOCK_MS;
  },
};

/** Firebase's hash is this stream XOR the key of the project, so that the stored form does without that key. */
function keyStream(key: Buffer): Buffer {
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(64));
}
