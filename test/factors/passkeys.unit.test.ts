import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { uuidToBytes } from '../../src/domain/uuid.ts';
import {
  assertedCredentialId,
  creationOptions,
  readCosePublicKey,
  requestOptions,
  verifyAssertion,
} from '../../src/factors/passkeys.ts';
import { createAuthenticator, encodeCbor } from '../support/authenticator.ts';
import { enrolled, ORIGIN, RP, register, signIn, USER, verdictOf } from '../support/ceremonies.ts';

const known = { credentialId: randomBytes(32), transports: ['usb', 'a-later-transport'] };
const descriptor = {
  type: 'public-key',
  id: known.credentialId.toString('base64url'),
  transports: known.transports,
};

test('the options of a new passkey', () => {
  const challenge = randomBytes(32);
  expect(JSON.parse(creationOptions(RP, { ...USER, challenge, excluded: [known] }))).toEqual({
    rp: { id: 'example.com', name: 'Example' },
    user: { id: uuidToBytes(USER.userId).toString('base64url'), name: 'ada@example.com', displayName: 'Ada Lovelace' },
    challenge: challenge.toString('base64url'),
    pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: 'public-key', alg })),
    timeout: 300_000,
    excludeCredentials: [descriptor],
    authenticatorSelection: { residentKey: 'preferred', requireResidentKey: false, userVerification: 'preferred' },
    attestation: 'none',
  });
});

test('the options of an assertion', () => {
  const challenge = randomBytes(32);
  const optionsFor = (allowed: (typeof known)[] | null, requiresUserVerification: boolean) =>
    JSON.parse(requestOptions(RP, { challenge, allowed, requiresUserVerification }));
  const common = { challenge: challenge.toString('base64url'), timeout: 300_000, rpId: 'example.com' };
  expect(optionsFor([known], false)).toEqual({
    ...common,
    allowCredentials: [descriptor],
    userVerification: 'preferred',
  });
  expect(optionsFor(null, true)).toEqual({ ...common, userVerification: 'required' });
});

test.each(['ES256', 'EdDSA', 'RS256'] as const)('a passkey of %s is registered and signs in', async (algorithm) => {
  const { authenticator, passkey } = await enrolled({ algorithm });
  expect(passkey).toMatchObject({
    counter: 1,
    transports: ['internal'],
    isBackupEligible: true,
    backedUp: true,
    isUserVerified: true,
    aaguid: '00000000-0000-0000-0000-000000000000',
  });
  readCosePublicKey(passkey.publicKey);
  const answer = await signIn({ authenticator, passkey });
  expect(answer).toEqual({ counter: 2, isUserVerified: true, backedUp: true });
  expect(await verdictOf(register(createAuthenticator({ algorithm }), { attestation: 'packed' }))).toBe('accepted');
});

test('a registration reports what the authenticator has proved', async () => {
  const flags = { uv: false, be: false, bs: false };
  const credentialId = randomBytes(1_023);
  const response = { transports: null };
  expect(await register(createAuthenticator(), { flags, credentialId, response })).toMatchObject({
    credentialId,
    transports: [],
    isBackupEligible: false,
    backedUp: false,
    isUserVerified: false,
  });
});

test('an assertion without user verification is accepted only where none is required', async () => {
  const enrolment = await enrolled();
  const flags = { uv: false };
  expect(await signIn(enrolment, { flags }, { requiresUserVerification: false })).toMatchObject({
    isUserVerified: false,
  });
  expect(await verdictOf(signIn(enrolment, { flags }))).toBe('user verification');
});

test('output of extensions is ignored', async () => {
  const trailingBytes = encodeCbor({ 'a-later-extension': 'output' });
  const options = { flags: { ed: true }, trailingBytes };
  expect(await verdictOf(register(createAuthenticator(), options))).toBe('accepted');
  expect(await verdictOf(signIn(await enrolled(), options))).toBe('accepted');
});

test.each([
  [0, 0, 'accepted'],
  [0, 1, 'accepted'],
  [7, 8, 'accepted'],
  [7, 0xffff_ffff, 'accepted'],
  [7, 7, 'counter'],
  [7, 6, 'counter'],
  [7, 0, 'counter'],
])('after counter %d, counter %d is %s', async (stored, counter, verdict) => {
  expect(await verdictOf(signIn(await enrolled(), { counter }, { stored: { counter: stored } }))).toBe(verdict);
});

test('a stranger without the key cannot make a passkey look copied', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  expect(await verdictOf(signIn(await enrolled(), { counter: 0, signedBy: privateKey }))).toBe('signature');
});

test('an imported passkey may be backed up or not', async () => {
  const enrolment = await enrolled();
  const imported = { stored: { isBackupEligible: null } };
  expect(await verdictOf(signIn(enrolment, {}, imported))).toBe('accepted');
  expect(await verdictOf(signIn(enrolment, { flags: { be: false, bs: false } }, imported))).toBe('accepted');
});

test('one account can have passkeys of several authenticators, and a passkey of another account is rejected', async () => {
  const [one, other] = [await enrolled(), await enrolled()];
  const challenge = randomBytes(32);
  const json = requestOptions(RP, { challenge, allowed: null, requiresUserVerification: true });
  const response = other.authenticator.assert(json, { origin: ORIGIN });
  const verify = (passkey: typeof one.passkey) =>
    verdictOf(
      verifyAssertion(RP, { response, challenge, passkey, requiresUserVerification: true, requiresUserHandle: true }),
    );
  expect(await verify(other.passkey)).toBe('accepted');
  expect(await verify(one.passkey)).toBe('credential id');
  expect(await verify({ ...one.passkey, credentialId: other.passkey.credentialId })).toBe('signature');
  expect(await verify({ ...other.passkey, userHandle: randomBytes(16) })).toBe('user handle');
});

test('a response names its passkey before it is verified', async () => {
  const { authenticator, passkey } = await enrolled();
  const json = requestOptions(RP, { challenge: randomBytes(32), allowed: null, requiresUserVerification: true });
  const response = authenticator.assert(json, { origin: ORIGIN });
  expect(assertedCredentialId(response)).toEqual(passkey.credentialId);
  expect(assertedCredentialId('{')).toBeNull();
});

test('a response without a user handle is accepted where the challenge belongs to the account', async () => {
  const enrolment = await enrolled();
  const without = { userHandle: null };
  expect(await verdictOf(signIn(enrolment, without))).toBe('accepted');
  expect(await verdictOf(signIn(enrolment, without, { requiresUserHandle: true }))).toBe('user handle');
});
