import { expect, test } from 'vitest';
import { namesOf, SIGNING_ALGORITHMS, signingAlgorithmOf } from '../../src/domain/signing-algorithm.ts';

test('an algorithm has its name of RFC 7518 or RFC 8037, and EdDSA the name of RFC 9864 as well', () => {
  expect(SIGNING_ALGORITHMS.map(namesOf)).toEqual([['ES256'], ['EdDSA', 'Ed25519'], ['RS256']]);
  expect(['ES256', 'EdDSA', 'Ed25519', 'RS256'].map(signingAlgorithmOf)).toEqual(['ES256', 'EdDSA', 'EdDSA', 'RS256']);
});

test('other names mean no algorithm', () => {
  for (const name of ['', 'none', 'HS256', 'PS256', 'ES384', 'Ed448', 'ESP256', 'es256', 'toString', '__proto__']) {
    expect(signingAlgorithmOf(name)).toBeNull();
  }
});
