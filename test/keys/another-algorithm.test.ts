// A change of SIGNING_ALGORITHM: the JWKS of each phase, and the tokens that verifiers accept with it.
import { randomUUID } from 'node:crypto';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import type { SigningAlgorithm } from '../../src/domain/signing-algorithm.ts';
import { createKeyRotation } from '../../src/keys/key-rotation.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { databaseOf } from '../../src/store/postgres/database.ts';
import { createSigningKeyRows } from '../../src/store/signing-key-rows.ts';
import { testApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, signedIn } from '../support/people.ts';

const app = await testApp({ SIGNING_ALGORITHM: 'EdDSA' }, { api: true, worker: false });
const { policy, masterKeys } = readConfig(app.environment).keys;
let ahead = 0;
const rotation = createKeyRotation({
  store: createSigningKeyRows(databaseOf(app.owner), randomUUID),
  encryptionKeys: derivePurposeKeys(masterKeys).signingKeyEncryption,
  now: () => new Date(Date.now() + ahead),
});

async function jwks(query = ''): Promise<JSONWebKeySet> {
  return (await (await fetch(`${app.url}/.well-known/jwks.json${query}`)).json()) as JSONWebKeySet;
}
const algorithms = async (query?: string) => (await jwks(query)).keys.map(({ alg }) => alg);

/** As a worker does whose configuration has the new algorithm. */
async function turnOfWorker(algorithm: SigningAlgorithm, afterMs: number): Promise<void> {
  ahead += afterMs;
  app.advance(afterMs);
  await rotation.advance({ ...policy, algorithm });
}

async function verifies(token: string, set: JSONWebKeySet): Promise<boolean> {
  const { alg = '' } = decodeProtectedHeader(token);
  return jwtVerify(token, createLocalJWKSet(set), {
    algorithms: [alg],
    currentDate: new Date(Date.now() + ahead),
  }).then(
    () => true,
    () => false,
  );
}

/** Like python-jose 3.5: the first key of another type is an error, unless a key before it verifies the token. */
async function verifiesInOrder(token: string, set: JSONWebKeySet): Promise<boolean> {
  const { alg = '' } = decodeProtectedHeader(token);
  for (const key of set.keys) {
    if (key.alg !== alg) return false;
    if (await verifies(token, { keys: [key] })) return true;
  }
  return false;
}

test('every valid token verifies with the JWKS of each phase, and the algorithm in use comes first', {
  timeout: 60_000,
}, async () => {
  expect(await algorithms()).toEqual(['EdDSA', 'EdDSA']);

  // The published key of the former algorithm is replaced, and the next one waits.
  await turnOfWorker('ES256', 1_000);
  await eventually(async () => String(await algorithms()) === 'EdDSA,ES256');
  expect(await algorithms('?alg=EdDSA')).toEqual(['EdDSA']);
  expect(await algorithms('?alg=ES256')).toEqual(['ES256']);
  await turnOfWorker('ES256', policy.publishMs - 60_000);
  const last = await signedIn(app.call);
  const cached = await jwks();
  expect(decodeProtectedHeader(last.accessToken).alg).toBe('EdDSA');

  // The next key signs. Verifiers with the JWKS from before accept its tokens.
  await turnOfWorker('ES256', 60_000);
  await eventually(async () => String(await algorithms()) === 'ES256,ES256,EdDSA');
  const after = await signedIn(app.call);
  expect(decodeProtectedHeader(after.accessToken).alg).toBe('ES256');
  const sets = { cached, all: await jwks(), ES256: await jwks('?alg=ES256'), EdDSA: await jwks('?alg=EdDSA') };
  for (const set of [sets.cached, sets.all, sets.ES256]) expect(await verifies(after.accessToken, set)).toBe(true);
  for (const set of [sets.cached, sets.all, sets.EdDSA]) expect(await verifies(last.accessToken, set)).toBe(true);
  for (const { accessToken } of [last, after]) expect(await isAccepted(app.call, accessToken)).toBe(true);
  for (const set of [sets.all, sets.ES256]) expect(await verifiesInOrder(after.accessToken, set)).toBe(true);
  expect(await verifiesInOrder(last.accessToken, sets.all)).toBe(false);
  expect(await verifiesInOrder(last.accessToken, sets.EdDSA)).toBe(true);
  expect(await algorithms('?alg=ES256&alg=Ed25519')).toEqual(['ES256', 'ES256', 'EdDSA']);

  // The last token of the former key has expired.
  await turnOfWorker('ES256', policy.keepMs);
  await eventually(async () => String(await algorithms()) === 'ES256,ES256');
});
