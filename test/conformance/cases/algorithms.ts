import { createHmac } from 'node:crypto';
import type { Signer } from '../signers.ts';
import { keysChanged, position } from '../stream.ts';
import {
  edDsa,
  encode,
  es256,
  headerOf,
  nextEdDsa,
  otherEs256,
  rs256,
  signed,
  signedParts,
  USER_CLAIMS,
  userToken,
  withSignature,
} from '../tokens.ts';
import { type VerdictCase, verdictCase } from '../verdict-case.ts';

const PAYLOAD = JSON.stringify(USER_CLAIMS);
const NO_SIGNATURE = { sign: () => Buffer.alloc(0) };

export function algorithmCases(): VerdictCase[] {
  return [...[edDsa, es256, rs256].flatMap(casesOf), ...ecdsaCases(), ...confusionCases(), ...otherNames()];
}

function withKeys(...keys: Signer[]) {
  return { messages: [position([keysChanged(keys)])] };
}

function casesOf(signer: Signer): VerdictCase[] {
  const token = userToken({}, signer);
  const named = (what: string) => `${signer.algorithm}: ${what}`;
  const rejected = (what: string, change: (signature: Buffer) => Buffer) =>
    verdictCase('TOKEN_INVALID', named(what), { token: withSignature(token, change), ...withKeys(signer) });
  return [
    verdictCase('VALID', named('a valid token'), { token, ...withKeys(signer) }),
    verdictCase('VALID', named('a valid token, with keys of all algorithms'), {
      token,
      ...withKeys(edDsa, es256, rs256),
    }),
    rejected('the first bit of the signature is flipped', (bytes) => flipped(bytes, 0)),
    rejected('the last bit of the signature is flipped', (bytes) => flipped(bytes, bytes.length - 1)),
    rejected('the signature lacks its last byte', (bytes) => bytes.subarray(0, -1)),
    rejected('the signature has one byte more', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
    rejected('the signature is empty', () => Buffer.alloc(0)),
    rejected('the signature is all zeros', (bytes) => Buffer.alloc(bytes.length)),
    rejected('the signature is all ones', (bytes) => Buffer.alloc(bytes.length, 0xff)),
    verdictCase('TOKEN_INVALID', named('the signature is that of another payload'), {
      token: `${userToken({ epoch: 4 }, signer).split('.', 2).join('.')}.${token.split('.')[2]}`,
      ...withKeys(signer),
    }),
  ];
}

function flipped(signature: Buffer, index: number): Buffer {
  const copy = Buffer.from(signature);
  copy.writeUInt8(copy.readUInt8(index) ^ (index === 0 ? 0x80 : 1), index);
  return copy;
}

/** Two encodings of one signature, which libraries of other kinds of ECDSA write. */
function ecdsaCases(): VerdictCase[] {
  const token = userToken({}, es256);
  return [
    verdictCase('TOKEN_INVALID', 'ES256: the signature is in DER (RFC 3279) instead of r and s', {
      token: withSignature(token, toDer),
      ...withKeys(es256),
    }),
    verdictCase('TOKEN_INVALID', 'ES256: another key has signed under the kid', {
      token: signed(headerOf(es256), PAYLOAD, otherEs256),
      ...withKeys(es256, otherEs256),
    }),
    verdictCase('TOKEN_INVALID', 'EdDSA: another key has signed under the kid', {
      token: signed(headerOf(edDsa), PAYLOAD, nextEdDsa),
      ...withKeys(edDsa, nextEdDsa),
    }),
    verdictCase('TOKEN_INVALID', 'RS256: the signature is RSASSA-PSS', {
      token: signed(headerOf(rs256), PAYLOAD, { sign: rs256.signPss }),
      ...withKeys(rs256),
    }),
  ];
}

function toDer(signature: Buffer): Buffer {
  const integers = [signature.subarray(0, 32), signature.subarray(32)].map((bytes) => {
    const positive = bytes.readUInt8(0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes;
    return Buffer.concat([Buffer.of(0x02, positive.length), positive]);
  });
  const body = Buffer.concat(integers);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

function confusionCases(): VerdictCase[] {
  const all = withKeys(edDsa, es256, rs256);
  const hmacOf = (secret: Buffer) => (content: Buffer) => createHmac('sha256', secret).update(content).digest();
  const pem = (spki: Buffer) =>
    Buffer.from(`-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`);
  const tokens: [string, string][] = [
    ['alg none, without a signature', signed(headerOf({ algorithm: 'none', kid: edDsa.kid }), PAYLOAD, NO_SIGNATURE)],
    ['alg none, with a valid EdDSA signature', signed(headerOf({ algorithm: 'none', kid: edDsa.kid }), PAYLOAD, edDsa)],
    [
      'alg HS256, with the DER of the public key as the secret',
      signed(headerOf({ algorithm: 'HS256', kid: rs256.kid }), PAYLOAD, { sign: hmacOf(rs256.spki) }),
    ],
    [
      'alg HS256, with the PEM of the public key as the secret',
      signed(headerOf({ algorithm: 'HS256', kid: rs256.kid }), PAYLOAD, { sign: hmacOf(pem(rs256.spki)) }),
    ],
    [
      'the kid of an EdDSA key with alg ES256',
      signed(headerOf({ algorithm: 'ES256', kid: edDsa.kid }), PAYLOAD, es256),
    ],
    [
      'the kid of an ES256 key with alg RS256',
      signed(headerOf({ algorithm: 'RS256', kid: es256.kid }), PAYLOAD, rs256),
    ],
    [
      'the kid of an RS256 key with alg PS256',
      signed(headerOf({ algorithm: 'PS256', kid: rs256.kid }), PAYLOAD, { sign: rs256.signPss }),
    ],
    [
      'the kid of an RS256 key with alg RS512',
      signed(headerOf({ algorithm: 'RS512', kid: rs256.kid }), PAYLOAD, rs256),
    ],
    ['alg in lower case', signed(headerOf({ algorithm: 'eddsa', kid: edDsa.kid }), PAYLOAD, edDsa)],
    ['the kid of one key and the signature of another algorithm', signed(headerOf(rs256), PAYLOAD, es256)],
    ['the header of one key on the signed parts of another', swapped()],
  ];
  return tokens.map(([name, token]) => verdictCase('TOKEN_INVALID', name, { token, ...all }));
}

function swapped(): string {
  const [, payload, signature] = userToken({}, edDsa).split('.');
  return [encode(headerOf(es256)), payload, signature].join('.');
}

function otherNames(): VerdictCase[] {
  const token = signedParts(encode(headerOf({ algorithm: 'Ed25519', kid: edDsa.kid })), encode(PAYLOAD), edDsa);
  return [verdictCase('VALID', 'alg Ed25519 is another name of EdDSA (RFC 9864)', { token })];
}
