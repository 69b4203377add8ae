// The cost of each signing algorithm: `npm run bench:signatures` prints the table of docs/decisions/es256-by-default.md.
import { createPublicKey, randomBytes, sign } from 'node:crypto';
import type { KeyRing } from '../../src/domain/key-ring.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../src/domain/signing-algorithm.ts';
import { newSigningKey } from '../../src/keys/new-signing-key.ts';
import { decryptSigningKey, signAccessToken } from '../../src/keys/signing-key.ts';
import { publicVerificationKey } from '../../src/verifier/public-verification-key.ts';
import { claimsOf } from '../support/claims.ts';
import { median } from './harness.ts';

const ROUNDS = 300;
const CALLS = 5;
const KEYS = 9;
const encryptionKeys: KeyRing = [randomBytes(32)];
const claims = claimsOf(Math.floor(Date.now() / 1000));

async function generate(algorithm: SigningAlgorithm) {
  const startedAt = performance.now();
  const stored = await newSigningKey({ algorithm, state: 'active', signsFrom: new Date() }, encryptionKeys);
  const generationMs = performance.now() - startedAt;
  const times = { publishedAt: new Date(), activatedAt: new Date(), retiringAt: null, retiredAt: null };
  const key = await decryptSigningKey({ ...stored, ...times }, encryptionKeys);
  if (!key) throw new Error('the key cannot be decrypted');
  return { key, generationMs };
}

/** The fastest of many short rounds: other programs of the machine only add time. */
function microseconds(work: () => void): number {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const startedAt = performance.now();
    for (let n = 0; n < CALLS; n += 1) work();
    return ((performance.now() - startedAt) * 1000) / CALLS;
  });
  return Math.min(...rounds);
}

async function measure(algorithm: SigningAlgorithm) {
  const made = [];
  for (let n = 0; n < KEYS; n += 1) made.push(await generate(algorithm));
  const { key } = made[0] as (typeof made)[number];
  const publicKey = createPublicKey(key.privateKey);
  const makeKeyMs = median(made.map(({ generationMs }) => generationMs));
  const byPublicKey = publicVerificationKey(key.kid, algorithm, publicKey);
  const token = await signAccessToken(claims, key);
  const at = token.lastIndexOf('.');
  const content = Buffer.from(token.slice(0, at));
  const signature = Buffer.from(token.slice(at + 1), 'base64url');
  if (!byPublicKey?.hasSigned(content, signature) || !key.hasSigned(content, signature)) throw new Error('rejected');
  return [
    algorithm,
    microseconds(() => void sign(algorithm === 'EdDSA' ? null : 'sha256', content, key.privateKey)).toFixed(0),
    microseconds(() => void byPublicKey.hasSigned(content, signature)).toFixed(0),
    microseconds(() => void key.hasSigned(content, signature)).toFixed(0),
    makeKeyMs.toFixed(makeKeyMs < 10 ? 1 : 0),
    String(token.length),
  ];
}

const head = ['', 'sign, µs', 'verify, µs', 'verify at Latchkey, µs', 'make a key, ms', 'characters of a token'];
const rows = [head, head.map(() => '---')];
for (const algorithm of SIGNING_ALGORITHMS) rows.push(await measure(algorithm));
for (const row of rows) console.log(`| ${row.join(' | ')} |`);
