import { pbkdf2Sync, randomBytes, scryptSync } from 'node:crypto';
import argon2 from 'argon2';
import bcrypt from 'bcrypt';
import { expect, test } from 'vitest';
import { parsePresentedPassword } from '../../src/domain/password.ts';
import { kindOf } from '../../src/passwords/hash-kind.ts';
import { createHashQueue } from '../../src/passwords/hash-queue.ts';
import { type Comparison, type HashWork, threadPoolHashing } from '../../src/passwords/hash-work.ts';
import { createHasher } from '../../src/passwords/hasher.ts';
import { parseImportedHash } from '../../src/passwords/import-hash.ts';

const right = parsePresentedPassword('a good pass phrase');
const { password } = right;
const wrong = parsePresentedPassword('a wrong pass phrase');
const CONFIGURED = { memoryKib: 256, iterations: 1, parallelism: 1 };
const open = (work: HashWork = threadPoolHashing) =>
  createHasher(CONFIGURED, createHashQueue({ concurrency: 1, maxWaiting: 9, maxWaitMs: 5_000 }), work);

const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
const pbkdf2 = (rounds: number, bytes = 32) => {
  const salt = randomBytes(16);
  return `$pbkdf2-sha256$${rounds}$${base64(salt)}$${base64(pbkdf2Sync(password, salt, rounds, bytes, 'sha256'))}`;
};
const scrypt = (logN: number) => {
  const salt = randomBytes(16);
  const digest = scryptSync(password, salt, 32, { cost: 2 ** logN, blockSize: 8, parallelization: 1 });
  return `$scrypt$ln=${logN},r=8,p=1$${base64(salt)}$${base64(digest)}`;
};
/** Costs of the families that only imports have. */
const IMPORTED = {
  'sha512-crypt, 5000': `$6$saltstring$${'a'.repeat(86)}`,
  'sha256-crypt, 1500': `$5$rounds=1500$saltstring$${'a'.repeat(43)}`,
  'phpass, 2^9': `$P$712345678${'a'.repeat(22)}`,
  'Drupal, 2^8': `$S$612345678${'a'.repeat(43)}`,
  'salted SHA-512': `{SSHA512}${randomBytes(72).toString('base64')}`,
  'bcrypt 5 over a digest': `bcrypt_sha256$${bcrypt.hashSync('x', 5)}`,
  better: `${randomBytes(16).toString('hex')}:${randomBytes(64).toString('hex')}`,
};
const imported = (text: string) => parseImportedHash(text) as string;
/** A hash of each kind in use. */
const HASHES = {
  'argon2id as configured': await argon2.hash(password, { memoryCost: 256, timeCost: 1, parallelism: 1 }),
  'argon2id, more costly': await argon2.hash(password, { memoryCost: 4096, timeCost: 3, parallelism: 1 }),
  'argon2id, cheaper': await argon2.hash(password, { memoryCost: 64, timeCost: 1, parallelism: 1 }),
  argon2i: await argon2.hash(password, { type: argon2.argon2i, memoryCost: 512, timeCost: 3, parallelism: 2 }),
  'bcrypt 4': await bcrypt.hash(password, 4),
  'bcrypt 7': await bcrypt.hash(password, 7),
  'scrypt 10': scrypt(10),
  'scrypt 12': scrypt(12),
  'PBKDF2, 1000': pbkdf2(1_000),
  'PBKDF2, 20000': pbkdf2(20_000),
  'PBKDF2, two blocks of 3000': pbkdf2(3_000, 64),
  'PBKDF2 of Django': parseImportedHash(
    `pbkdf2_sha1$700$salt$${pbkdf2Sync(password, 'salt', 700, 20, 'sha1').toString('base64')}`,
  ) as string,
};
const UNREADABLE: Record<string, string> = {
  garbage: 'garbage',
  'a truncated bcrypt hash': HASHES['bcrypt 4'].slice(0, 40),
  'a truncated argon2 hash': HASHES['argon2id as configured'].slice(0, 50),
};

/** Does the work by default, and records how much of each family a comparison computes. */
function recorded({ computes } = { computes: true }) {
  let done: Comparison | undefined;
  const work: HashWork = {
    hash: threadPoolHashing.hash,
    compare(comparison) {
      done = comparison;
      return computes ? threadPoolHashing.compare(comparison) : Promise.resolve('mismatch');
    },
  };
  const sums = () => {
    const families: Record<string, number> = {};
    for (const hash of [done?.hash ?? [], done?.afterwards ?? []].flat()) {
      const kind = kindOf(hash);
      if (!kind) throw new Error(`computed ${hash}`);
      families[kind.family] = (families[kind.family] ?? 0) + kind.work;
    }
    return families;
  };
  return { work, sums };
}

/** Processor time, which other work on the machine does not change by much. */
async function microsecondsOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

test('hashes have a salt, match their password and no other', async () => {
  const hasher = open();
  const [one, two] = [await hasher.hash(password), await hasher.hash(password)];
  expect(one).not.toBe(two);
  expect(await hasher.verify(one, right)).toBe('match');
  expect(await hasher.verify(one, wrong)).toBe('mismatch');
  expect(hasher.isOutdated(one, 'match')).toBe(false);
});

test('without a hash nothing matches', async () => {
  expect(await open().verify(null, right)).toBe('mismatch');
});

test.each(Object.entries(HASHES))('%s matches its password without further work', async (_, hash) => {
  const hasher = open();
  hasher.useKinds(Object.values(HASHES));
  expect(await hasher.verify(hash, right)).toBe('match');
  expect(await hasher.verify(hash, wrong)).toBe('mismatch');
});

test('every failure computes the same for every hash and without one, from the first call on', async () => {
  const { work, sums } = recorded();
  const foreign = Object.fromEntries(Object.entries(IMPORTED).map(([name, text]) => [name, imported(text)]));
  for (const [name, hash] of Object.entries<string | null>({ ...HASHES, ...foreign, ...UNREADABLE, none: null })) {
    const hasher = open(work);
    hasher.useKinds([...Object.values(HASHES), ...Object.values(IMPORTED).map(imported)]);
    expect(await hasher.verify(hash, wrong)).toBe(name in UNREADABLE ? 'unreadable' : 'mismatch');
    expect(sums(), name).toEqual({
      '$argon2id$v=19$m=256,t=1,p=1': 1,
      '$argon2id$v=19$m=4096,t=3,p=1': 1,
      '$argon2id$v=19$m=64,t=1,p=1': 1,
      '$argon2i$v=19$m=512,t=3,p=2': 1,
      bcrypt: 2 ** 7,
      '$scrypt$ln=10,r=8,p=1': 1,
      '$scrypt$ln=12,r=8,p=1': 1,
      'pbkdf2-sha256': 20_000,
      'pbkdf2-sha1': 700,
      'sha512-crypt': 5_000,
      'sha256-crypt': 1_500,
      'phpass-md5': 2 ** 9,
      'phpass-sha512': 2 ** 8,
      'salted-sha512': 1,
      '$scrypt$ln=14,r=16,p=1': 1,
    });
  }
});

test('a password that is not in NFC is compared in both forms, with every hash and without one', async () => {
  const comparisons: Comparison[] = [];
  const work: HashWork = {
    hash: threadPoolHashing.hash,
    compare: (comparison) => {
      comparisons.push(comparison);
      return threadPoolHashing.compare(comparison);
    },
  };
  const hasher = open(work);
  const typed = parsePresentedPassword('cre\u0300me bru\u0302le\u0301e');
  const least: Record<string, number> = {};
  hasher.useKinds([pbkdf2(200_000)]);
  const hashes = { none: null, pbkdf2: pbkdf2(200_000), own: HASHES['argon2id as configured'] };
  for (let round = 0; round < 5; round += 1) {
    for (const [name, hash] of Object.entries(hashes)) {
      const spent = await microsecondsOf(() => hasher.verify(hash, typed));
      least[name] = Math.min(least[name] ?? Number.POSITIVE_INFINITY, spent);
    }
  }
  expect(new Set(comparisons.map(({ unnormalized }) => unnormalized))).toEqual(
    new Set(['cre\u0300me bru\u0302le\u0301e']),
  );
  expect(Math.max(...Object.values(least))).toBeLessThan(1.25 * Math.min(...Object.values(least)));
  const replaced = await argon2.hash('cre\u0300me bru\u0302le\u0301e', {
    memoryCost: 256,
    timeCost: 1,
    parallelism: 1,
  });
  expect(hasher.isOutdated(replaced, await hasher.verify(replaced, typed))).toBe(true);
});

test('a kind that was written after the kinds were read counts from its first failure', async () => {
  const { work, sums } = recorded();
  const hasher = open(work);
  await hasher.verify(HASHES['bcrypt 7'], wrong);
  const first = sums();
  await hasher.verify(null, wrong);
  expect(sums()).toEqual(first);
  // It stops once no account has such a hash.
  hasher.useKinds([]);
  await hasher.verify(null, wrong);
  expect(sums()).toEqual({ '$argon2id$v=19$m=256,t=1,p=1': 1 });
});

test('a hash that costs seconds does not slow down every failure', async () => {
  const { work, sums } = recorded({ computes: false });
  const hasher = open(work);
  const costly = '$argon2id$v=19$m=262144,t=20,p=1$MDEyMzQ1Njc4OWFi$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY';
  const others = [HASHES['bcrypt 7'], HASHES['scrypt 10']];
  expect(hasher.useKinds([costly, ...others])).toEqual(['$argon2id$v=19$m=262144,t=20,p=1']);
  await hasher.verify(null, wrong);
  expect(Object.keys(sums()).sort()).toEqual(
    ['$argon2id$v=19$m=256,t=1,p=1', '$scrypt$ln=10,r=8,p=1', 'bcrypt'].sort(),
  );
});

test('the total cost of dozens of kinds is bounded', async () => {
  const { work, sums } = recorded({ computes: false });
  const hasher = open(work);
  // Some 60 ms each.
  const many = Array.from({ length: 40 }, (_, n) => HASHES.argon2i.replace('m=512', `m=${30_000 + n}`));
  expect(hasher.useKinds(many).length).toBeGreaterThan(20);
  await hasher.verify(null, wrong);
  expect(Object.keys(sums()).length).toBeGreaterThan(5);
});

test('failures with the same computation take the same time', async () => {
  const hasher = open();
  hasher.useKinds([await bcrypt.hash(password, 9), pbkdf2(100_000)]);
  const hashes = { none: null, bcrypt: await bcrypt.hash(password, 6), pbkdf2: pbkdf2(2_000), unreadable: 'garbage' };
  const least: Record<string, number> = {};
  for (let round = 0; round < 9; round += 1) {
    for (const [name, hash] of Object.entries(hashes)) {
      const spent = await microsecondsOf(() => hasher.verify(hash, wrong));
      least[name] = Math.min(least[name] ?? Number.POSITIVE_INFINITY, spent);
    }
  }
  expect(Math.max(...Object.values(least))).toBeLessThan(1.25 * Math.min(...Object.values(least)));
});

test('a caller that disconnects after the comparison does not undo it', async () => {
  const hasher = open();
  hasher.useKinds([await bcrypt.hash(password, 11)]);
  const gone = new AbortController();
  const failure = hasher.verify(null, wrong, gone.signal);
  setTimeout(() => gone.abort(), 20);
  expect(await failure).toBe('mismatch');
});
