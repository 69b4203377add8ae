// vectors/hashes.json has each form as the real library of another system wrote it (vectors/generate.ts).
import { pbkdf2Sync, scryptSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import argon2 from 'argon2';
import bcrypt from 'bcrypt';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decoysOf, estimateMs, kindOf } from '../../src/passwords/hash-kind.ts';
import { type Outcome, threadPoolHashing } from '../../src/passwords/hash-work.ts';
import { parseImportedHash } from '../../src/passwords/import-hash.ts';

type Vectors = { password: string; hashes: { name: string; hash: string }[] };

const { password, hashes } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'vectors/hashes.json'), 'utf8'),
) as Vectors;
const salt = Buffer.from('0123456789abcdef');
const plain = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
const sha256 = pbkdf2Sync(password, salt, 1_000, 32, 'sha256');
const scrypted = scryptSync(password, salt, 32, { cost: 2 ** 10, blockSize: 8, parallelization: 1 });
const bcrypted = await bcrypt.hash(password, 4);

const compare = (hash: string, typed: string): Promise<Outcome> => {
  const normal = typed.normalize('NFC');
  const unnormalized = normal === typed ? null : typed;
  return threadPoolHashing.compare({ hash, password: normal, unnormalized, instead: [], afterwards: [] });
};
const stored = (text: string): string => parseImportedHash(text) ?? expect.fail('has no password');

describe.each(hashes)('$name', ({ hash }) => {
  test('matches its password only, also when its stored form is imported', async () => {
    const form = stored(hash);
    expect(await compare(form, password)).toBe('match');
    expect(await compare(form, `${password} `)).toBe('mismatch');
    expect(stored(form)).toBe(form);
  });

  test('has decoys of the same work', () => {
    const kind = kindOf(stored(hash)) ?? expect.fail('has no kind');
    const decoys = decoysOf(kind).map((decoy) => kindOf(decoy));
    expect(new Set(decoys.map((one) => one?.family))).toEqual(new Set([kind.family]));
    expect(decoys.reduce((sum, one) => sum + (one?.work ?? Number.NaN), 0)).toBe(kind.work);
    expect(estimateMs(kind)).toBeGreaterThan(0);
  });

  test('is rejected without its last characters', () => {
    if (hash.startsWith('{"')) return;
    expect(() => parseImportedHash(hash.slice(0, -7))).toThrow();
  });
});

test.each([
  ['a long password of bcrypt, which reads 72 bytes', 'съешь же ещё этих мягких французских булок, да'],
  ['the decomposed form', 'cre\u0300me bru\u0302le\u0301e'],
])('%s matches', async (_, typed) => {
  const hash = await bcrypt.hash(typed, 4);
  expect(await compare(hash, typed)).toBe(typed === typed.normalize('NFC') ? 'match' : 'match-unnormalized');
  expect(await compare(hash, `x${typed}`)).toBe('mismatch');
});

test('$2x$ of old PHP matches a password of ASCII', async () => {
  const hash = (await bcrypt.hash('battery staple', 4)).replace('$2b$', '$2x$');
  expect(await compare(stored(hash), 'battery staple')).toBe('match');
  expect(await compare(bcrypted.replace('$2b$', '$2x$'), password)).toBe('mismatch');
});

test.each(['', '!', `!${'a'.repeat(40)}`, '*', '*LK*'])('%j is an account without a password', (text) => {
  expect(parseImportedHash(text)).toBeNull();
});

test('a published test vector of RFC 7914, section 12, costs more than a sign-in may', () => {
  const rfc = Buffer.from(
    'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640',
    'hex',
  );
  const hash = `$scrypt$ln=10,r=8,p=16$${plain(Buffer.from('NaCl'))}$${plain(rfc)}`;
  // Sixteen lanes cost more than a sign-in may, and are rejected before any computation.
  expect(() => parseImportedHash(hash)).toThrow(/costs more or less/);
  expect(scryptSync('password', 'NaCl', 64, { cost: 1024, blockSize: 8, parallelization: 16 })).toEqual(rfc);
});

const argon2Text = '$MDEyMzQ1Njc4OWFi$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY';
test.each([
  ['argon2id of 1 GiB', `$argon2id$v=19$m=1048576,t=1,p=1${argon2Text}`],
  ['argon2id of a thousand rounds', `$argon2id$v=19$m=1024,t=1000,p=1${argon2Text}`],
  ['argon2id of Django of 1 GiB', `argon2$argon2id$v=19$m=1048576,t=1,p=1${argon2Text}`],
  ['bcrypt of cost 31', `$2b$31$${'a'.repeat(53)}`],
  ['bcrypt over a digest, of cost 31', `bcrypt_sha256$$2b$31$${'a'.repeat(53)}`],
  ['scrypt of 16 GiB', `$scrypt$ln=24,r=8,p=1$${plain(salt)}$${plain(scrypted)}`],
  ['scrypt of Ory of 16 GiB', `$scrypt$ln=16777216,r=8,p=1$${plain(salt)}$${plain(scrypted)}`],
  ['scrypt of Werkzeug of 16 GiB', `scrypt:16777216:8:1$salt$${scrypted.toString('hex')}`],
  ['scrypt of Spring of 4 GiB', `{scrypt}$ff0801$${plain(salt)}$${plain(scrypted)}`],
  ['scrypt of no memory', `$scrypt$ln=0,r=8,p=1$${plain(salt)}$${plain(scrypted)}`],
  ['PBKDF2 of ninety million rounds', `$pbkdf2-sha256$90000000$${plain(salt)}$${plain(sha256)}`],
  ['PBKDF2 of no rounds', `$pbkdf2-sha256$0$${plain(salt)}$${plain(sha256)}`],
  [
    'PBKDF2 of ASP.NET of four billion rounds',
    Buffer.concat([Buffer.from('0100000002ffffffff00000010', 'hex'), salt, sha256]).toString('base64'),
  ],
  ['sha512-crypt of a billion rounds', `$6$rounds=999999999$salt$${'a'.repeat(86)}`],
  ['phpass of two to the thirtieth rounds', `$P$S12345678${'a'.repeat(22)}`],
  ['Drupal of two to the thirtieth rounds', `$S$S12345678${'a'.repeat(43)}`],
])('%s is rejected because of its cost', (_, hash) => {
  expect(() => parseImportedHash(hash)).toThrow(/costs more or less/);
});

test.each([
  ['MD5', '5f4dcc3b5aa765d61d8327deb882cf99'],
  ['md5-crypt', '$1$W1uEs4J4$znTjL4f1w4lulbG9mEbcp.'],
  ['Apache', '$apr1$XkTvOW8k$PteTVGonqUeE8AGcb9YSb.'],
  ['SHA-1', '{SSHA}cxND87iJsOeCrFTo1gcRo3fLVa1gjLF2'],
  ['SHA-1', '{SHA}Xnw5QGSd+hejDsapHwlVqQdTFAE='],
  ['SHA-1', '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'],
  ['SHA-1', 'sha1$salt$2470c0c06dee42fd1618bb99005adca2ec9d1e19'],
  ['SHA-256', '90e86a9adaf3bb4154043fb8cfb3279b67b572730068763d75a3060e0438695e'],
  ['MD5', 'md5$salt$5f4dcc3b5aa765d61d8327deb882cf99'],
  ['plain text', '{noop}battery staple 42'],
  ['DES-crypt', '{CRYPT}aaZHZwMlmsYPI'],
  ['yescrypt', '$y$j9T$aBcDeFgHiJkLmNoPqRsTu/$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ'],
  ['secret key', `$argon2id$v=19$m=1024,t=1,p=1,keyid=AAAA${argon2Text}`],
  [
    'hexadecimal',
    'd0b30f4d835f359db9fba221154364de0da18768b384a6a567d6c354cb385aed2ec889e05080e4a545cadf360d966d0485ff',
  ],
])('%s is rejected by its name and with a remedy: %s', (name, hash) => {
  expect(() => parseImportedHash(hash)).toThrow(new RegExp(`${name}.*the user sets a password`));
});

test.each([
  ['a password', 'hunter2'],
  ['crypt without a digest', '$6$saltsalt$hash'],
  ['a short digest', `$pbkdf2-sha256$1000$${plain(salt)}$${plain(sha256.subarray(0, 10))}`],
  ['a line break at its end', `${bcrypted}\n`],
  ['nothing of PBKDF2', '$pbkdf2-sha256$$$'],
  ['MD5 by PBKDF2', `$pbkdf2-md5$1000$${plain(salt)}$${plain(sha256)}`],
  ['a member of every object', `$bcrypt-constructor$r=04$${bcrypted.slice(7, 29)}$${bcrypted.slice(29)}`],
  ['Keycloak JSON of an unknown algorithm', '{"secretData":"{}","credentialData":"{\\"algorithm\\":\\"toString\\"}"}'],
  ['deep JSON', `{"a":${'['.repeat(2_000)}`],
])('%s is not a hash', (_, hash) => {
  expect(() => parseImportedHash(hash)).toThrow(/must be a hash of a form/);
});

test('a text of any length and form is rejected in no time', () => {
  expect(() => parseImportedHash('$'.repeat(10_000))).toThrow(/at most/);
  const pieces = fc.constantFrom(
    ...hashes.flatMap(({ hash }) => hash.split(/(?<=[$:{},])/)),
    '$',
    'A'.repeat(300),
    '\0',
  );
  const text = fc.oneof(
    fc.array(pieces, { maxLength: 12 }).map((some) => some.join('')),
    fc.string({ maxLength: 300 }),
  );
  fc.assert(
    fc.property(text, (some) => {
      const startedAt = performance.now();
      try {
        const form = parseImportedHash(some);
        if (form !== null) expect(kindOf(form)).not.toBeNull();
      } catch (error) {
        expect((error as Error).constructor.name).toBe('InvalidValue');
        expect(some.length > 8 ? (error as Error).message : '').not.toContain(some.length > 8 ? some : '\0');
      }
      expect(performance.now() - startedAt).toBeLessThan(200);
    }),
  );
});

test('another parameter order of argon2 is accepted', async () => {
  const hash = await argon2.hash(password, { memoryCost: 64, timeCost: 1, parallelism: 1 });
  expect(kindOf(hash.replace(/m=64,t=(\d),p=1/, 'm=64,p=1,t=$1'))).toEqual(kindOf(hash));
});
