import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseSessionToken, sessionTokenOf } from '../../src/keys/session-token.ts';

const key = randomBytes(32);
const issuer = 'https://auth.example';
const nowMs = 1_900_000_000_000;
const claims = {
  iss: issuer,
  sub: randomUUID(),
  aud: ['latchkey'],
  client_id: 'latchkey',
  iat: nowMs / 1000,
  exp: nowMs / 1000 + 900,
  jti: randomUUID(),
  sid: randomUUID(),
  email: 'grace@example.com',
  email_verified: true,
  refresh_counter: 1,
  roles: ['user'],
  epoch: 1,
  roles_epoch: 1,
};
const payloadOf = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = sessionTokenOf(`e30.${payloadOf(claims)}.c2ln`, [key]);
const parse = (text: string, keys: [Buffer, ...Buffer[]] = [key], by = issuer) =>
  parseSessionToken(text, { keys, issuer: by, nowMs });

test('a session token has the claims of its access token, under each key of the ring', () => {
  expect(parse(token)).toEqual(claims);
  expect(parse(token, [randomBytes(32), key])).toEqual(claims);
});

test('a changed token is invalid, wherever it is changed', () => {
  for (let at = 0; at < token.length; at += 1) {
    const other = token.charAt(at) === 'A' ? 'B' : 'A';
    expect(parse(token.slice(0, at) + other + token.slice(at + 1))).toBeNull();
  }
});

test('a token of another key, issuer or kind is invalid', () => {
  expect(parse(token, [randomBytes(32)])).toBeNull();
  expect(parse(token, [key], 'https://other.example')).toBeNull();
  expect(parse(`e30.${payloadOf(claims)}.c2ln`)).toBeNull();
  expect(parse('')).toBeNull();
  expect(parse(`${token} `)).toBeNull();
  expect(parse(sessionTokenOf(`e30.${payloadOf({ ...claims, exp: claims.iat + 9_999 })}.c2ln`, [key]))).toBeNull();
  expect(parse(sessionTokenOf(`e30.${'A'.repeat(5_000)}.c2ln`, [key]))).toBeNull();
});
