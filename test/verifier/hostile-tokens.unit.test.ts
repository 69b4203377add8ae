// Malformed and forged tokens: those that jose accepts with every option set, and known attacks on JWTs (RFC 8725).
import {
  constants,
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
  randomUUID,
  sign as signBytes,
} from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../src/domain/signing-algorithm.ts';
import { ownVerificationKey } from '../../src/keys/own-verification-key.ts';
import { accessTokenHeader, MAX_TOKEN_LENGTH, type VerificationKey } from '../../src/verifier/access-token.ts';
import type { Verdict } from '../../src/verifier/engine.ts';
import { publicVerificationKey } from '../../src/verifier/public-verification-key.ts';
import { createRevocationView } from '../../src/verifier/revocation-view.ts';
import { createVerifier, type VerifierOptions } from '../../src/verifier/verifier.ts';
import { anyCharacter } from '../support/any-character.ts';
import { claimsOf } from '../support/claims.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const SECONDS = NOW.getTime() / 1000;
const kid = 'key-1';

type Pair = { publicKey: KeyObject; privateKey: KeyObject };
type Signer = { algorithm: SigningAlgorithm; ours: Pair; theirs: Pair };
const generateP256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const eddsa: Signer = {
  algorithm: 'EdDSA',
  ours: generateKeyPairSync('ed25519'),
  theirs: generateKeyPairSync('ed25519'),
};
const es256: Signer = { algorithm: 'ES256', ours: generateP256(), theirs: generateP256() };
const generateRsa = (modulusLength = 3_072, publicExponent = 65_537) =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent });
const rs256: Signer = { algorithm: 'RS256', ours: generateRsa(), theirs: generateRsa() };
function publicOf({ algorithm, ours }: Signer): VerificationKey {
  const key = publicVerificationKey(kid, algorithm, ours.publicKey);
  if (!key) throw new Error('the key does not fit the algorithm');
  return key;
}
/** The keys as a client has them, and as our own processes have them. */
const KEYS: [string, Signer, VerificationKey][] = [
  ['EdDSA, by the public key', eddsa, publicOf(eddsa)],
  ['EdDSA, by the private key', eddsa, ownVerificationKey(kid, 'EdDSA', eddsa.ours.privateKey, eddsa.ours.publicKey)],
  ['ES256', es256, ownVerificationKey(kid, 'ES256', es256.ours.privateKey, es256.ours.publicKey)],
  ['RS256', rs256, ownVerificationKey(kid, 'RS256', rs256.ours.privateKey, rs256.ours.publicKey)],
];

function verifierWith(key: VerificationKey, options: Partial<VerifierOptions> = {}) {
  const view = createRevocationView();
  view.confirm(performance.now());
  return createVerifier({
    issuer: 'https://auth.example',
    keys: [key],
    revalidateSeconds: 1,
    view,
    maxViewAgeMs: 60_000,
    readStatuses: () => Promise.reject(new Error('asked')),
    refreshKeys: () => Promise.reject(new Error('asked')),
    cacheBytes: 1024 * 1024,
    now: () => NOW,
    ...options,
  });
}

const claims = claimsOf(SECONDS - 10);

const base64url = (text: string | Buffer) => Buffer.from(text).toString('base64url');

/** Makes tokens of any bytes, with a valid signature unless another key is given. */
function tokensOf({ algorithm, ours }: Signer) {
  return (
    payload: string | Buffer,
    header = JSON.stringify(accessTokenHeader({ kid, algorithm })),
    privateKey: KeyObject = ours.privateKey,
  ): string => {
    const signed = `${base64url(header)}.${base64url(payload)}`;
    const key = { key: privateKey, dsaEncoding: 'ieee-p1363' as const };
    const signature = signBytes(algorithm === 'EdDSA' ? null : 'sha256', Buffer.from(signed), key);
    return `${signed}.${signature.toString('base64url')}`;
  };
}

const outcome = (verdict: Verdict | null) => (verdict && 'reason' in verdict ? verdict.reason : 'accepted');

describe.each(KEYS)('%s', (_, signer, key) => {
  const { algorithm, ours, theirs } = signer;
  const token = tokensOf(signer);
  const good = token(JSON.stringify(claims));
  // One engine for all cases, so that a wrongly cached token is noticed.
  const verifier = verifierWith(key);
  const rejection = (text: string) => outcome(verifier.judge(text, ''));

  test('a valid token is accepted, also repeatedly', () => {
    for (let n = 0; n < 3; n += 1) {
      expect(verifier.judge(good, 'latchkey')).toMatchObject({
        decision: { principal: { userId: claims.sub, sessionId: claims.sid } },
      });
    }
  });

  describe('form', () => {
    test.each([
      ['nothing', ''],
      ['dots', '..'],
      ['a newline after it', `${good}\n`],
      ['a space before it', ` ${good}`],
      ['padding', `${good}=`],
      ['a fourth part', `${good}.`],
      ['no signature', `${good.split('.').slice(0, 2).join('.')}.`],
      ['a cut signature', good.slice(0, -1)],
      ['a NUL', `${good}\0`],
      ['base64 instead of base64url', good.replaceAll('-', '+').replaceAll('_', '/').replace(/$/, '==')],
      ['8 MB', token(JSON.stringify({ ...claims, email: 'x'.repeat(8_000_000) }))],
      ['a little too much', token(JSON.stringify({ ...claims, email: 'x'.repeat(MAX_TOKEN_LENGTH) }))],
    ])('a token with %s is rejected', (_, text) => {
      expect(rejection(text)).toBe('TOKEN_INVALID');
    });

    test('a token whose signature differs in the unused bits of its last character is rejected', () => {
      const accepted = [];
      for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
        const text = good.slice(0, -1) + character;
        if (text !== good && rejection(text) !== 'TOKEN_INVALID') accepted.push(text);
      }
      expect(accepted).toEqual([]);
    });

    test('a signed text without three parts, or with an empty payload, is rejected', () => {
      const signatureOf = (content: string) => {
        const key = { key: ours.privateKey, dsaEncoding: 'ieee-p1363' as const };
        return signBytes(algorithm === 'EdDSA' ? null : 'sha256', Buffer.from(content), key).toString('base64url');
      };
      const [header = ''] = good.split('.');
      const empty = `${header}..${signatureOf(`${header}.`)}`;
      for (const text of [header + signatureOf(header), `${header}.${signatureOf(header)}`, empty]) {
        expect(rejection(text)).toBe('TOKEN_INVALID');
      }
    });

    test('a character whose low byte is the right one is rejected', () => {
      for (let at = 0; at < good.length; at += 1) {
        const other = String.fromCharCode(0x100 + good.charCodeAt(at));
        expect(rejection(good.slice(0, at) + other + good.slice(at + 1))).toBe('TOKEN_INVALID');
      }
    });

    test('a part of a token is rejected right after the whole, alone and before another character', () => {
      for (let length = 0; length < good.length; length += 1) {
        const { judge } = verifierWith(key);
        const part = good.slice(0, length);
        const outcomes = [good, part, `${part}é`].map((text) => outcome(judge(text, '')));
        expect(outcomes).toEqual(['accepted', 'TOKEN_INVALID', 'TOKEN_INVALID']);
      }
    });

    test('a token with any one character changed is rejected', () => {
      fc.assert(
        fc.property(
          fc.nat(good.length - 1),
          fc.string({ unit: anyCharacter, minLength: 1, maxLength: 1 }),
          (at, other) => {
            const changed = good.slice(0, at) + other + good.slice(at + 1);
            if (changed !== good) expect(rejection(changed)).toBe('TOKEN_INVALID');
          },
        ),
        { numRuns: 1_000 },
      );
    });

    test('any text is rejected', () => {
      fc.assert(
        fc.property(fc.string({ unit: anyCharacter }), (text) => {
          expect(rejection(text)).toBe('TOKEN_INVALID');
        }),
        { numRuns: 500 },
      );
    });
  });

  describe('header', () => {
    const json = JSON.stringify(claims);
    const jwk = ours.publicKey.export({ format: 'jwk' });
    test.each([
      ['alg none', { alg: 'none', kid, typ: 'at+jwt' }],
      ...SIGNING_ALGORITHMS.filter((alg) => alg !== algorithm).map((alg): [string, object] => [
        `the algorithm ${alg}`,
        { alg, kid, typ: 'at+jwt' },
      ]),
      ['a symmetric algorithm', { alg: 'HS256', kid, typ: 'at+jwt' }],
      ['its algorithm in small letters', { alg: algorithm.toLowerCase(), kid, typ: 'at+jwt' }],
      ['another padding of RSA', { alg: 'PS256', kid, typ: 'at+jwt' }],
      ['no kid', { alg: algorithm, typ: 'at+jwt' }],
      ['an unknown kid', { alg: algorithm, kid: 'other', typ: 'at+jwt' }],
      ['an object as kid', { alg: algorithm, kid: {}, typ: 'at+jwt' }],
      ['typ JWT', { alg: algorithm, kid, typ: 'JWT' }],
      ['no typ', { alg: algorithm, kid }],
      ['typ in capitals', { alg: algorithm, kid, typ: 'AT+JWT' }],
      ['jwk', { ...accessTokenHeader({ kid, algorithm }), jwk }],
      ['jku', { ...accessTokenHeader({ kid, algorithm }), jku: 'https://evil.example/jwks.json' }],
      ['x5u', { ...accessTokenHeader({ kid, algorithm }), x5u: 'https://evil.example/cert' }],
      ['crit', { ...accessTokenHeader({ kid, algorithm }), crit: ['exp'] }],
      ['b64 false', { ...accessTokenHeader({ kid, algorithm }), b64: false, crit: ['b64'] }],
      ['zip', { ...accessTokenHeader({ kid, algorithm }), zip: 'DEF' }],
      ['another order', { typ: 'at+jwt', kid, alg: algorithm }],
    ])('a token with %s is rejected', (_, header) => {
      expect(rejection(token(json, JSON.stringify(header)))).toBe('TOKEN_INVALID');
    });

    test('a property name that every object has is an invalid key id', () => {
      for (const name of ['__proto__', 'constructor', 'toString']) {
        expect(rejection(token(json, JSON.stringify(accessTokenHeader({ kid: name, algorithm }))))).toBe(
          'TOKEN_INVALID',
        );
        expect(rejection(`${name}.${good.split('.').slice(1).join('.')}`)).toBe('TOKEN_INVALID');
      }
    });

    test('a token signed with another key, or with our public key as a secret, is rejected', () => {
      expect(rejection(token(json, undefined, theirs.privateKey))).toBe('TOKEN_INVALID');
      const signed = good.slice(0, good.lastIndexOf('.'));
      const secret = ours.publicKey.export({ type: 'spki', format: 'pem' });
      const mac = createHmac('sha256', secret).update(signed).digest('base64url');
      expect(rejection(`${signed}.${mac}`)).toBe('TOKEN_INVALID');
    });
  });

  describe('claims', () => {
    const noStrength = { acr: undefined, amr: undefined, auth_time: undefined };
    const noUser = { email: undefined, email_verified: undefined, refresh_counter: undefined, ...noStrength };
    test.each([
      ['another issuer', { iss: 'https://evil.example' }],
      ['issuer with a slash', { iss: 'https://auth.example/' }],
      ['no issuer', { iss: undefined }],
      ['a subject that is no UUID', { sub: 'root' }],
      ['a number as subject', { sub: 1 }],
      ['an array as subject', { sub: [claims.sub] }],
      ['no session', { sid: undefined }],
      ['no id', { jti: undefined }],
      ['an empty audience', { aud: [] }],
      ['an audience that is no list', { aud: 'latchkey' }],
      ['numbers as audience', { aud: [1] }],
      ['a number among its audiences', { aud: ['latchkey', 1] }],
      ['an audience within a list', { aud: [['latchkey']] }],
      ['an object as audience', { aud: { 0: 'latchkey', length: 1 } }],
      ['no audience', { aud: undefined }],
      ['another client', { client_id: 'other' }],
      ['a service with an email', { client_id: 'billing', email_verified: undefined }],
      ['a service with an email that is nothing', { client_id: 'billing', ...noUser, email: null }],
      ['a service with an email that is verified, and none', { client_id: 'billing', email: undefined }],
      ['a service with no name', { client_id: '', ...noUser }],
      ['a service whose name is none', { client_id: 'Billing', ...noUser }],
      ['a service whose name is a list', { client_id: ['billing'], ...noUser }],
      ['a service with a strength', { client_id: 'billing', ...noUser, acr: 'pwd' }],
      ['a service with methods', { client_id: 'billing', ...noUser, amr: [] }],
      ['a service with a time of authentication', { client_id: 'billing', ...noUser, auth_time: SECONDS }],
      ['another strength', { acr: '2' }],
      ['a strength in upper case', { acr: 'MFA' }],
      ['a strength in a list', { acr: ['mfa'] }],
      ['no strength beside its methods', { acr: undefined }],
      ['a strength of null', { acr: null }],
      ['no methods beside a strength', { amr: undefined }],
      ['methods that are no list', { amr: 'pwd' }],
      ['a number among the methods', { amr: ['pwd', 1] }],
      ['too many methods', { amr: Array.from({ length: 17 }, () => 'pwd') }],
      ['no time of authentication beside a strength', { auth_time: undefined }],
      ['a text as time of authentication', { auth_time: String(SECONDS) }],
      ['a time of authentication between seconds', { auth_time: SECONDS - 10.5 }],
      ['a time of authentication before 1970', { auth_time: -1 }],
      ['a time of authentication long after the issue', { auth_time: claims.iat + 61 }],
      ['only a strength', { ...noStrength, acr: 'phr' }],
      ['only methods', { ...noStrength, amr: ['pwd'] }],
      ['only a time of authentication', { ...noStrength, auth_time: SECONDS }],
      ['roles that are no list', { roles: 'admin' }],
      ['roles that are no texts', { roles: [['admin']] }],
      ['no roles', { roles: undefined }],
      ['no email', { email: undefined }],
      ['neither email nor whether it is verified', noUser],
      ['an email without a claim that it is verified', { email_verified: undefined }],
      ['text as email_verified', { email_verified: 'true' }],
      ['a number as email_verified', { email_verified: 1 }],
      ['null as email_verified', { email_verified: null }],
      ['a list as email_verified', { email_verified: [true] }],
      ['a time as email_verified', { email_verified: '2026-11-23T12:00:00Z' }],
      ['no epoch', { epoch: undefined }],
      ['no epoch of roles', { roles_epoch: undefined }],
      ['a fraction as epoch of roles', { roles_epoch: 0.5 }],
      ['text as epoch', { epoch: '1' }],
      ['no expiry', { exp: undefined }],
      ['text as expiry', { exp: String(SECONDS + 100) }],
      ['a fraction as expiry', { exp: SECONDS + 0.5 }],
      ['a far expiry', { exp: SECONDS + 1e9 }],
      ['expiry before issue', { exp: SECONDS - 20 }],
      ['expiry at issue', { exp: SECONDS - 10 }],
      ['a lifetime of an hour and a second', { exp: SECONDS - 10 + 3_601 }],
      ['no time of issue', { iat: undefined }],
      ['a time of issue to come', { iat: SECONDS + 61, exp: SECONDS + 100 }],
      ['a negative time', { iat: -1, exp: 1, ...noStrength }],
    ])('a token with %s is rejected', (what, change) => {
      const expected = what === 'a negative time' ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID';
      expect(rejection(token(JSON.stringify({ ...claims, ...change })))).toBe(expected);
    });

    const json = JSON.stringify(claims);
    test.each([
      ['a member twice', json.replace('{', '{"roles":["admin"],')],
      ['1e999 as expiry', json.replace(/"exp":\d+/, '"exp":1e999')],
      ['an exponent', json.replace(/"exp":\d+/, '"exp":18e8')],
      ['white space', JSON.stringify(claims, null, 1)],
      ['escaped letters', json.replace('"sub"', '"s\\u0075b"')],
      ['no JSON', 'nothing'],
      ['an array', JSON.stringify([claims])],
      ['null', 'null'],
      ['bytes that are no UTF-8', Buffer.from(json.replace('ada@', '\u00ff@'), 'latin1')],
      ['a byte order mark', `\ufeff${json}`],
      ['__proto__', json.replace('{', '{"__proto__":{"roles":["admin"]},').replace(/,"roles":\["user"\]/, '')],
    ])('a token with %s is rejected', (_, payload) => {
      expect(rejection(token(payload))).toBe('TOKEN_INVALID');
    });

    test('the token of a service, and of a user whose email is not verified, is accepted', () => {
      const service = { ...claims, client_id: 'billing', ...noUser };
      for (const one of [service, { ...claims, email_verified: false }]) {
        expect(rejection(token(JSON.stringify(one)))).toBe('accepted');
      }
    });

    test('a token of the longest lifetime is accepted', () => {
      expect(rejection(token(JSON.stringify({ ...claims, exp: SECONDS - 10 + 3_600 })))).toBe('accepted');
    });

    test.each([['5'], ['"text"'], ['true'], ['[]']])('the JSON %s has no claims', (payload) => {
      expect(rejection(token(payload))).toBe('TOKEN_INVALID');
    });

    test.each([
      ['none of the three claims of strength', noStrength],
      ['as many methods as allowed', { amr: Array.from({ length: 16 }, () => 'pwd') }],
      ['unknown methods', { amr: ['retina'] }],
      ['no method', { amr: [] }],
      ['an authentication a minute after the issue', { auth_time: claims.iat + 60 }],
      ['an authentication in 1970', { auth_time: 0 }],
    ])('a token with %s is accepted', (_case, changes) => {
      expect(rejection(token(JSON.stringify({ ...claims, ...changes })))).toBe('accepted');
    });

    test('an expired token is rejected as expired', () => {
      const expired = { ...claims, iat: SECONDS - 900, exp: SECONDS, auth_time: SECONDS - 900 };
      expect(rejection(token(JSON.stringify(expired)))).toBe('TOKEN_EXPIRED');
    });

    test('a token issued up to a minute ahead is accepted, because clocks differ', () => {
      expect(rejection(token(JSON.stringify({ ...claims, iat: SECONDS + 60 })))).toBe('accepted');
    });
  });
});

test('the second signature that ES256 allows for a token belongs to the same session (docs/decisions/es256-signatures.md)', () => {
  const verifier = verifierWith(publicOf(es256));
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const text = tokensOf(es256)(JSON.stringify({ ...claims, jti: randomUUID() }));
  const at = text.lastIndexOf('.') + 1;
  const signature = Buffer.from(text.slice(at), 'base64url');
  const s = order - BigInt(`0x${signature.subarray(32).toString('hex')}`);
  const other = Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
  for (const each of [text, text.slice(0, at) + other.toString('base64url')]) {
    expect(verifier.judge(each, '')).toMatchObject({ decision: { token: { sessionId: claims.sid } } });
  }
});

test('a token with the name of RFC 9864 for its algorithm is accepted, and of no other algorithm', () => {
  const named = (signer: Signer, alg: string) =>
    outcome(
      verifierWith(publicOf(signer)).judge(
        tokensOf(signer)(JSON.stringify(claims), JSON.stringify({ alg, kid, typ: 'at+jwt' })),
        '',
      ),
    );
  expect(named(eddsa, 'Ed25519')).toBe('accepted');
  for (const alg of ['Ed448', 'ESP256', 'ed25519']) expect(named(eddsa, alg)).toBe('TOKEN_INVALID');
  for (const alg of ['Ed25519', 'ESP256', 'ES256K']) expect(named(es256, alg)).toBe('TOKEN_INVALID');
});

describe('a signature of RS256', () => {
  const verifier = verifierWith(publicOf(rs256));
  const text = tokensOf(rs256)(JSON.stringify(claims));
  const content = text.slice(0, text.lastIndexOf('.'));
  const judged = (signature: Buffer) =>
    outcome(verifier.judge(`${content}.${signature.toString('base64url')}`, 'latchkey'));
  const signature = Buffer.from(text.slice(content.length + 1), 'base64url');
  const raw = (block: Buffer) =>
    privateEncrypt({ key: rs256.ours.privateKey, padding: constants.RSA_NO_PADDING }, block);
  const digestInfo = Buffer.concat([
    Buffer.from('3031300d060960864801650304020105000420', 'hex'),
    createHash('sha256').update(content).digest(),
  ]);
  const padded = (info: Buffer, rest = Buffer.alloc(0), filler = 0xff) =>
    Buffer.concat([
      Buffer.from([0, 1]),
      Buffer.alloc(384 - 3 - info.length - rest.length, filler),
      Buffer.from([0]),
      info,
      rest,
    ]);

  test('is accepted with the padding of PKCS #1 v1.5 alone', () => {
    expect(judged(signature)).toBe('accepted');
    expect(raw(padded(digestInfo)).equals(signature)).toBe(true);
    const pss = { key: rs256.ours.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING };
    const withoutNull = Buffer.concat([Buffer.from('302f300b0609608648016503040201', 'hex'), digestInfo.subarray(17)]);
    const sha1 = signBytes('sha1', Buffer.from(content), rs256.ours.privateKey);
    const forged = [
      signBytes('sha256', Buffer.from(content), pss),
      sha1,
      // CVE-2006-4339: bytes after the digest.
      raw(padded(digestInfo, Buffer.alloc(200, 1))),
      raw(padded(digestInfo, Buffer.alloc(0), 0xfe)),
      raw(padded(withoutNull)),
      raw(padded(createHash('sha256').update(content).digest())),
    ];
    expect(forged.map(judged)).toEqual(forged.map(() => 'TOKEN_INVALID'));
  });

  test('is rejected with another length, or with the modulus added', () => {
    const { n = '' } = rs256.ours.publicKey.export({ format: 'jwk' });
    const modulus = BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`);
    const sum = (BigInt(`0x${signature.toString('hex')}`) + modulus).toString(16);
    const larger = Buffer.from(sum.padStart(sum.length + (sum.length % 2), '0'), 'hex');
    for (const other of [
      larger,
      Buffer.concat([Buffer.alloc(1), signature]),
      signature.subarray(1),
      Buffer.alloc(384),
      Buffer.alloc(384, 0xff),
      Buffer.alloc(64),
    ]) {
      expect(judged(other)).toBe('TOKEN_INVALID');
    }
  });
});

describe('a key', () => {
  const rsaPss = generateKeyPairSync('rsa-pss', { modulusLength: 2_048 });
  test.each<[string, SigningAlgorithm, KeyObject]>([
    ['P-256 for EdDSA', 'EdDSA', es256.ours.publicKey],
    ['RSA for EdDSA', 'EdDSA', rs256.ours.publicKey],
    ['Ed448 for EdDSA', 'EdDSA', generateKeyPairSync('ed448').publicKey],
    ['X25519 for EdDSA', 'EdDSA', generateKeyPairSync('x25519').publicKey],
    ['Ed25519 for ES256', 'ES256', eddsa.ours.publicKey],
    ['RSA for ES256', 'ES256', rs256.ours.publicKey],
    ['P-384 for ES256', 'ES256', generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey],
    ['secp256k1 for ES256', 'ES256', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey],
    ['Ed25519 for RS256', 'RS256', eddsa.ours.publicKey],
    ['P-256 for RS256', 'RS256', es256.ours.publicKey],
    ['RSA-PSS for RS256', 'RS256', rsaPss.publicKey],
    ['RSA of 2,047 bits for RS256', 'RS256', generateRsa(2_047).publicKey],
    ['RSA of 1,024 bits for RS256', 'RS256', generateRsa(1_024).publicKey],
    ['RSA of 4,104 bits for RS256', 'RS256', generateRsa(4_104).publicKey],
    ['RSA with the exponent 3 for RS256', 'RS256', generateRsa(2_048, 3).publicKey],
  ])('for another algorithm is not used: %s', (_, algorithm, publicKey) => {
    expect(publicVerificationKey(kid, algorithm, publicKey)).toBeNull();
  });

  test('for RS256 has 2,048 to 4,096 bits', () => {
    for (const bits of [2_048, 4_096]) {
      const key = publicVerificationKey(kid, 'RS256', generateRsa(bits).publicKey);
      expect(key).toMatchObject({ algorithm: 'RS256', signatureBytes: bits / 8 });
    }
  });

  test('in our store that does not fit its algorithm is reported', () => {
    expect(() => ownVerificationKey(kid, 'EdDSA', es256.ours.privateKey, es256.ours.publicKey)).toThrow(
      'the signing key key-1 does not fit the algorithm EdDSA',
    );
  });
});

test('a verdict is cached no longer than the token is valid', () => {
  const last = tokensOf(eddsa)(JSON.stringify({ ...claims, exp: SECONDS + 1 }));
  const verdict = verifierWith(publicOf(eddsa), { revalidateSeconds: 60 }).judge(last, '');
  expect(verdict).toMatchObject({ decision: { revalidateAt: new Date((SECONDS + 1) * 1000) } });
});
