// Hashes as other systems write them: of Python's passlib and Django, PHP, Node and the PHC, made outside this service.
import { pbkdf2Sync, scryptSync } from 'node:crypto';
import argon2 from 'argon2';
import bcrypt from 'bcrypt';
import { expect, test } from 'vitest';
import { kindOf } from '../../src/passwords/hash-kind.ts';
import { threadPoolHashing } from '../../src/passwords/hash-work.ts';
import { importProblem } from '../../src/passwords/stored-hash.ts';

const password = 'a good pass phrase';
const salt = Buffer.from('0123456789abcdef');
const plain = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
const passlib = (bytes: Buffer) => plain(bytes).replaceAll('+', '.');
const sha256 = pbkdf2Sync(password, salt, 1_000, 32, 'sha256');
const sha512 = pbkdf2Sync(password, salt, 1_000, 64, 'sha512');
const scrypted = scryptSync(password, salt, 32, { cost: 2 ** 10, blockSize: 8, parallelization: 1 });

const HASHES: Record<string, string> = {
  'argon2id of other parameters': await argon2.hash(password, { memoryCost: 1024, timeCost: 1, parallelism: 2 }),
  argon2i: await argon2.hash(password, { type: argon2.argon2i, memoryCost: 1024, timeCost: 3, parallelism: 1 }),
  argon2d: await argon2.hash(password, { type: argon2.argon2d, memoryCost: 1024, timeCost: 1, parallelism: 1 }),
  bcrypt: await bcrypt.hash(password, 4),
  'bcrypt of PHP': (await bcrypt.hash(password, 4)).replace('$2b$', '$2y$'),
  'scrypt, PHC': `$scrypt$ln=10,r=8,p=1$${plain(salt)}$${plain(scrypted)}`,
  'scrypt of passlib': `$scrypt$ln=10,r=8,p=1$${passlib(salt)}$${passlib(scrypted)}`,
  'PBKDF2, PHC': `$pbkdf2-sha256$i=1000,l=32$${plain(salt)}$${plain(sha256)}`,
  'PBKDF2 of passlib': `$pbkdf2-sha256$1000$${passlib(salt)}$${passlib(sha256)}`,
  'PBKDF2 of passlib, SHA-512': `$pbkdf2-sha512$1000$${passlib(salt)}$${passlib(sha512)}`,
  'PBKDF2 of Django': `pbkdf2_sha256$1000$${salt}$${sha256.toString('base64')}`,
};

const outcomeOf = (hash: string, password: string) =>
  threadPoolHashing.compare({ hash, password, instead: [], afterwards: [] });

test.each(Object.entries(HASHES))('%s is accepted, and matches its password only', async (_, hash) => {
  expect(importProblem(hash)).toBeNull();
  expect(await outcomeOf(hash, password)).toBe('match');
  expect(await outcomeOf(hash, `${password} `)).toBe('mismatch');
  expect(kindOf(hash)).not.toBeNull();
});

test('a published test vector matches: RFC 7914, section 12, and passlib’s own example', async () => {
  const rfc = Buffer.from(
    'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640',
    'hex',
  );
  const hash = `$scrypt$ln=10,r=8,p=16$${plain(Buffer.from('NaCl'))}$${plain(rfc)}`;
  // Sixteen lanes cost more than a sign-in may, and are rejected before any computation.
  expect(importProblem(hash)).toMatch(/costs more or less/);
  expect(scryptSync('password', 'NaCl', 64, { cost: 1024, blockSize: 8, parallelization: 16 })).toEqual(rfc);
  const documented =
    '$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdeMt2YczxdxWDrUzoCgMMWc$aHzJXgZPXpqh4S2T5GEFpcuAbsPRrPwWzgrRtYvGEbk';
  expect(importProblem(documented)).toBeNull();
});

test.each([
  [
    'argon2id of 1 GiB',
    '$argon2id$v=19$m=1048576,t=1,p=1$MDEyMzQ1Njc4OWFi$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY',
  ],
  [
    'argon2id of a thousand rounds',
    '$argon2id$v=19$m=1024,t=1000,p=1$MDEyMzQ1Njc4OWFi$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY',
  ],
  ['bcrypt of cost 31', `$2b$31$${'a'.repeat(53)}`],
  ['scrypt of 16 GiB', `$scrypt$ln=24,r=8,p=1$${plain(salt)}$${plain(scrypted)}`],
  ['scrypt of no memory', `$scrypt$ln=0,r=8,p=1$${plain(salt)}$${plain(scrypted)}`],
  ['PBKDF2 of ninety million rounds', `$pbkdf2-sha256$90000000$${plain(salt)}$${plain(sha256)}`],
  ['PBKDF2 of no rounds', `$pbkdf2-sha256$0$${plain(salt)}$${plain(sha256)}`],
])('%s is rejected because of its cost', (_, hash) => {
  expect(importProblem(hash)).toMatch(/costs more or less/);
});

test.each([
  ['a password', 'hunter2'],
  ['MD5', '5f4dcc3b5aa765d61d8327deb882cf99'],
  ['crypt', '$6$saltsalt$hash'],
  [
    'argon2 of an old version',
    '$argon2id$v=16$m=1024,t=1,p=1$MDEyMzQ1Njc4OWFi$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY',
  ],
  ['a short digest', `$pbkdf2-sha256$1000$${plain(salt)}$${plain(sha256.subarray(0, 10))}`],
  ['a line break at its end', `${HASHES.bcrypt}\n`],
  ['nothing of PBKDF2', '$pbkdf2-sha256$$$'],
  ['MD5 by PBKDF2', `$pbkdf2-md5$1000$${plain(salt)}$${plain(sha256)}`],
])('%s is not a hash', (_, hash) => {
  expect(importProblem(hash)).toMatch(/must be an argon2/);
});
