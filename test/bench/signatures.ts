// The cost of each signing algorithm: `npm run bench:signatures` prints the tables of docs/decisions/es256-by-default.md and
// docs/decisions/first-seen-tokens.md.
import { createPublicKey, randomBytes, randomUUID, sign } from 'node:crypto';
import type { KeyRing } from '../../src/domain/key-ring.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../src/domain/signing-algorithm.ts';
import { newSigningKey } from '../../src/keys/new-signing-key.ts';
import { decryptSigningKey, type SigningKey, signAccessToken } from '../../src/keys/signing-key.ts';
import type { VerificationKey } from '../../src/verifier/access-token.ts';
import { decodeBase64url } from '../../src/verifier/base64url.ts';
import { createEngine } from '../../src/verifier/engine.ts';
import { publicVerificationKey } from '../../src/verifier/public-verification-key.ts';
import { createRevocationView } from '../../src/verifier/revocation-view.ts';
import { claimsOf } from '../support/claims.ts';
import { median, quantile } from './harness.ts';

const ROUNDS = 1_000;
const CALLS = 5;
const KEYS = 9;
const TOKENS = 100;
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

/** The slowest round of the fastest eighth. The works take turns, and other programs of the machine only add time. */
function microseconds(...works: (() => void)[]): number[] {
  const times = works.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [n, work] of works.entries()) {
      const startedAt = performance.now();
      for (let call = 0; call < CALLS; call += 1) work();
      times[n]?.push(((performance.now() - startedAt) * 1000) / CALLS);
    }
  }
  return times.map((each) => quantile(each, 1 / 8));
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
  const calls = microseconds(
    () => void sign(algorithm === 'EdDSA' ? null : 'sha256', content, key.privateKey),
    () => void byPublicKey.hasSigned(content, signature),
    () => void key.hasSigned(content, signature),
  );
  return {
    costs: [
      algorithm,
      ...calls.map((time) => time.toFixed(0)),
      makeKeyMs.toFixed(makeKeyMs < 10 ? 1 : 0),
      String(token.length),
    ],
    firstSeen: [algorithm, ...(await measureFirstSeen(key)).map((time) => time.toFixed(1))],
  };
}

/** An engine without a cache: each token is a first-seen token. */
function engineWith(key: VerificationKey) {
  const view = createRevocationView();
  view.confirm(performance.now());
  return createEngine({
    issuer: claims.iss,
    keys: [key],
    revalidateSeconds: 1,
    view,
    maxViewAgeMs: 600_000,
    cacheBytes: 0,
    now: () => new Date(),
  });
}

async function measureFirstSeen(key: SigningKey): Promise<number[]> {
  const tokens: Buffer[] = [];
  for (let n = 0; n < TOKENS; n += 1)
    tokens.push(Buffer.from(await signAccessToken({ ...claims, jti: randomUUID() }, key)));
  let next = 0;
  const nextToken = () => tokens[next++ % TOKENS] as Buffer;
  const judgeBy = (by: VerificationKey) => {
    const engine = engineWith(by);
    return () => {
      // A new string, as from the wire.
      if (!('decision' in engine.judge(nextToken().toString('latin1'), 'latchkey'))) throw new Error('rejected');
    };
  };
  const [token] = tokens as [Buffer];
  const at = token.lastIndexOf('.');
  const [content, signature] = [token.subarray(0, at), Buffer.from(token.toString('latin1', at + 1), 'base64url')];
  const payloadAt = token.indexOf('.') + 1;
  const into = Buffer.alloc(token.length);
  const json = JSON.stringify(claims);
  const [whole, ...parts] = microseconds(
    judgeBy(key),
    () => void key.hasSigned(content, signature),
    () => void (decodeBase64url(token, payloadAt, at, into) + decodeBase64url(token, at + 1, token.length, into)),
    () => void JSON.stringify(JSON.parse(json)),
    judgeBy({ ...key, hasSigned: () => true }),
  ) as [number, number, number, number, number];
  const [bySignature, decoding, parsing, rest] = parts;
  return [whole, bySignature, decoding, parsing, rest - decoding - parsing, whole - bySignature - rest];
}

function print(head: string[], rows: string[][]): void {
  for (const row of [head, head.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`);
}

const measured = [];
for (const algorithm of SIGNING_ALGORITHMS) measured.push(await measure(algorithm));
print(
  ['', 'sign, µs', 'verify, µs', 'verify at Latchkey, µs', 'make a key, ms', 'characters of a token'],
  measured.map(({ costs }) => costs),
);
console.log();
print(
  ['first-seen token, µs', 'all', 'signature', 'base64url', 'JSON', 'claims and verdict', 'more than the sum of these'],
  measured.map(({ firstSeen }) => firstSeen),
);
