// `$5$` and `$6$` of crypt(3): "Unix crypt using SHA-256 and SHA-512", version 0.6. Packages for it compute all rounds in
// one piece, which would hold up the other hashes of the process for a second.
import { hash } from 'node:crypto';
import { assertCost, type HashFamily, isWithin } from '../hash-family.ts';
import { areEqual, BASE64, decodeSalt, randomBase64 } from '../hash-text.ts';
import { repeatInPieces } from '../repeat-in-pieces.ts';

type Algorithm = {
  bytes: number;
  roundMs: number;
  /** How far the places of a group of three bytes turn from one group to the next. */
  turn: 1 | 2;
  /** The last group. */
  rest: number[];
};

const MAX_ROUNDS = 1_000_000;
const CRYPT64 = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const FORM = new RegExp(String.raw`^\$(sha256|sha512)-crypt\$r=(\d{1,9})\$(${BASE64})\$([./0-9A-Za-z]{43,86})$`);

const ALGORITHMS: Record<string, Algorithm> = {
  sha256: { bytes: 32, roundMs: 0.0015, turn: 2, rest: [31, 30] },
  sha512: { bytes: 64, roundMs: 0.002, turn: 1, rest: [63] },
};

export const shaCryptFamily: HashFamily = {
  parse(text) {
    const [, name = '', r, salt = '', digest = ''] = FORM.exec(text) ?? [];
    const [algorithm, saltBytes] = [ALGORITHMS[name], decodeSalt(salt)];
    if (!algorithm || !saltBytes || digest.length !== Math.ceil((algorithm.bytes * 4) / 3)) return null;
    const rounds = Number(r);
    assertCost(isWithin(rounds, 1, MAX_ROUNDS));
    return {
      kind: { family: `${name}-crypt`, work: rounds },
      compare: async (password) =>
        areEqual(
          Buffer.from(encode(await shaCrypt(name, Buffer.from(password), saltBytes, rounds), algorithm)),
          Buffer.from(digest),
        ),
    };
  },
  owns: (family) => family.endsWith('-crypt'),
  decoys({ family, work }) {
    const digest = 'A'.repeat(family === 'sha256-crypt' ? 43 : 86);
    const full = Array<number>(Math.floor(work / MAX_ROUNDS)).fill(MAX_ROUNDS);
    return [...full, work % MAX_ROUNDS]
      .filter((rounds) => rounds > 0)
      .map((rounds) => `$${family}$r=${rounds}$${randomBase64(12)}$${digest}`);
  },
  estimateMs: ({ family, work }) => work * (ALGORITHMS[family.slice(0, 6)]?.roundMs ?? 0),
};

async function shaCrypt(name: string, password: Buffer, salt: Buffer, rounds: number): Promise<Buffer> {
  const digest = (...parts: Buffer[]) => hash(name, Buffer.concat(parts), 'buffer');
  const b = digest(password, salt, password);
  const parts = [password, salt, fill(b, password.length)];
  for (let bits = password.length; bits > 0; bits >>>= 1) parts.push(bits & 1 ? b : password);
  const a = digest(...parts);
  const p = fill(digest(...Array<Buffer>(password.length).fill(password)), password.length);
  const s = fill(digest(...Array<Buffer>(16 + (a[0] as number)).fill(salt)), salt.length);
  return repeatInPieces(rounds, a, (c, round) => {
    const isOdd = round % 2 === 1;
    const middle = [...(round % 3 === 0 ? [] : [s]), ...(round % 7 === 0 ? [] : [p])];
    return digest(isOdd ? p : c, ...middle, isOdd ? c : p);
  });
}

/** Repeats the bytes up to a length. */
function fill(bytes: Buffer, length: number): Buffer {
  return Buffer.alloc(length, bytes);
}

/** Each group but the last takes one byte of each third of the digest. */
function encode(digest: Buffer, { bytes, turn, rest }: Algorithm): string {
  const third = Math.floor(bytes / 3);
  const groups = Array.from({ length: third }, (_, n) => [0, 1, 2].map((k) => n + third * ((k + turn * n) % 3)));
  return [...groups, rest]
    .map((places) => {
      const value = places.reduce((sum, place) => sum * 256 + (digest[place] as number), 0);
      return Array.from({ length: places.length + 1 }, (_, k) => CRYPT64[Math.floor(value / 64 ** k) % 64]).join('');
    })
    .join('');
}
