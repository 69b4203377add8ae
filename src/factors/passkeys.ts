// The ceremonies of passkeys (WebAuthn level 3). The rules of ceremony.ts stand before the library, because it ignores
// some of them and its errors have no codes. The library then checks signatures, and most rules again.
import {
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialDescriptorJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import { isEqual } from '../domain/mac.ts';
import { uuidFromBytes, uuidToBytes } from '../domain/uuid.ts';
import { attestedPublicKey, readAttestation } from './attestation.ts';
import { assertClientData, assertRules, type RelyingParty, readAuthenticatorData } from './ceremony.ts';
import { parseAssertion, parseRegistration, readAssertion } from './ceremony-response.ts';
import { COSE_ALGORITHMS } from './cose-key.ts';
import { isCanonicalSignature } from './signature-form.ts';

export { CeremonyFailed, type RelyingParty } from './ceremony.ts';
export { readCosePublicKey } from './cose-key.ts';

const TIMEOUT_MS = 300_000;
const ALGORITHMS = Object.values(COSE_ALGORITHMS);

type KnownPasskey = { credentialId: Buffer; transports: string[] };

export type NewPasskey = {
  credentialId: Buffer;
  /** COSE. */
  publicKey: Buffer;
  counter: number;
  transports: string[];
  /** A passkey that may be backed up can be on several devices. This never changes. */
  isBackupEligible: boolean;
  backedUp: boolean;
  isUserVerified: boolean;
  /** The model of the authenticator, or zeros: a UUID. */
  aaguid: string;
};

type NewPasskeyRequest = {
  userId: string;
  email: string;
  fullName: string;
  challenge: Buffer;
  /** Passkeys that the account has. */
  excluded: KnownPasskey[];
};

/** @returns JSON for `PublicKeyCredential.parseCreationOptionsFromJSON` */
export function creationOptions(
  rp: RelyingParty,
  { userId, email, fullName, challenge, excluded }: NewPasskeyRequest,
): string {
  const options: PublicKeyCredentialCreationOptionsJSON = {
    rp: { id: rp.id, name: rp.name },
    user: { id: encode(uuidToBytes(userId)), name: email, displayName: fullName },
    challenge: encode(challenge),
    pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
    timeout: TIMEOUT_MS,
    excludeCredentials: excluded.map(descriptorOf),
    // Required resident keys would exclude older security keys, which are good second factors.
    authenticatorSelection: { residentKey: 'preferred', requireResidentKey: false, userVerification: 'preferred' },
    attestation: 'none',
  };
  return JSON.stringify(options);
}

type AssertionRequest = {
  challenge: Buffer;
  /** The passkeys of an account, or null for a discoverable passkey of any. Browsers read an empty list as null. */
  allowed: KnownPasskey[] | null;
  requiresUserVerification: boolean;
};

/** @returns JSON for `PublicKeyCredential.parseRequestOptionsFromJSON` */
export function requestOptions(
  rp: RelyingParty,
  { challenge, allowed, requiresUserVerification }: AssertionRequest,
): string {
  const options: PublicKeyCredentialRequestOptionsJSON = {
    challenge: encode(challenge),
    timeout: TIMEOUT_MS,
    rpId: rp.id,
    ...(allowed && { allowCredentials: allowed.map(descriptorOf) }),
    userVerification: requiresUserVerification ? 'required' : 'preferred',
  };
  return JSON.stringify(options);
}

/**
 * WebAuthn level 3 section 7.1. The caller must check that no account has the credential id yet.
 * @param registration `response` is the JSON of the browser, `challenge` that of the options
 * @throws InvalidValue for another form @throws CeremonyFailed
 */
export async function verifyRegistration(
  rp: RelyingParty,
  { response: text, challenge }: { response: string; challenge: Buffer },
): Promise<NewPasskey> {
  const { rawId, response } = parseRegistration(text);
  assertClientData(response.clientDataJSON, rp, { type: 'webauthn.create', challenge });
  const attestation = readAttestation(response.attestationObject);
  const data = readAuthenticatorData(attestation.authData, rp, { requiresUserVerification: false });
  const publicKey = attestedPublicKey(attestation, data, rawId);
  await assertSigned(
    verifyRegistrationResponse({
      response: {
        ...envelopeOf(rawId),
        response: {
          clientDataJSON: encode(response.clientDataJSON),
          attestationObject: encode(response.attestationObject),
        },
      },
      ...expected(rp, challenge),
      requireUserVerification: false,
      supportedAlgorithmIDs: ALGORITHMS,
    }),
  );
  return {
    credentialId: rawId,
    publicKey,
    counter: data.counter,
    transports: response.transports ?? [],
    isBackupEligible: data.flags.be,
    backedUp: data.flags.bs,
    isUserVerified: data.flags.uv,
    aaguid: uuidFromBytes(Buffer.from(data.aaguid as Uint8Array)),
  };
}

type StoredPasskey = {
  credentialId: Buffer;
  publicKey: Buffer;
  counter: number;
  /** `user.id` of the registration. Null accepts any. */
  userHandle: Buffer | null;
  /** Unknown for an imported passkey. */
  isBackupEligible?: boolean | null;
};

type PresentedAssertion = {
  /** Whether the response must name the user: the challenge belongs to no account. */
  requiresUserHandle: boolean;
  /** The JSON of the browser. */
  response: string;
  challenge: Buffer;
  passkey: StoredPasskey;
  requiresUserVerification: boolean;
};

/**
 * WebAuthn level 3 section 7.2.
 * @throws InvalidValue for another form @throws CeremonyFailed
 */
export async function verifyAssertion(
  rp: RelyingParty,
  { response: text, challenge, passkey, requiresUserVerification, requiresUserHandle }: PresentedAssertion,
): Promise<{ counter: number; isUserVerified: boolean; backedUp: boolean }> {
  const { rawId, response } = parseAssertion(text);
  const { clientDataJSON, authenticatorData, signature, userHandle } = response;
  assertRules([
    ['credential id', isEqual(rawId, passkey.credentialId)],
    ['user handle', userHandle ? isEqual(userHandle, passkey.userHandle ?? userHandle) : !requiresUserHandle],
  ]);
  assertClientData(clientDataJSON, rp, { type: 'webauthn.get', challenge });
  const { flags, counter } = readAuthenticatorData(authenticatorData, rp, { requiresUserVerification });
  assertRules([
    ['authenticator data', !flags.at],
    ['backup flags', flags.be === (passkey.isBackupEligible ?? flags.be)],
    ['signature', isCanonicalSignature(signature, passkey.publicKey)],
  ]);
  await assertSigned(
    verifyAuthenticationResponse({
      response: {
        ...envelopeOf(rawId),
        response: {
          clientDataJSON: encode(clientDataJSON),
          authenticatorData: encode(authenticatorData),
          signature: encode(signature),
        },
      },
      ...expected(rp, challenge),
      requireUserVerification: requiresUserVerification,
      // The library would compare the counter before the signature: a stranger could make a passkey look copied.
      credential: { id: encode(rawId), publicKey: new Uint8Array(passkey.publicKey), counter: 0 },
    }),
  );
  assertRules([['counter', counter > passkey.counter || (counter === 0 && passkey.counter === 0)]]);
  return { counter, isUserVerified: flags.uv, backedUp: flags.bs };
}

/** The passkey that an assertion claims to be of. Null for another form. Proves nothing. */
export function assertedCredentialId(response: string): Buffer | null {
  return readAssertion(response)?.rawId ?? null;
}

async function assertSigned(verification: Promise<{ verified: boolean }>): Promise<void> {
  const isSigned = await verification.then(
    ({ verified }) => verified,
    () => false,
  );
  assertRules([['signature', isSigned]]);
}

function envelopeOf(rawId: Buffer) {
  const id = encode(rawId);
  return { id, rawId: id, type: 'public-key', clientExtensionResults: {} } as const;
}

function expected(rp: RelyingParty, challenge: Buffer) {
  return { expectedChallenge: encode(challenge), expectedOrigin: rp.origins, expectedRPID: rp.id };
}

function descriptorOf({ credentialId, transports }: KnownPasskey): PublicKeyCredentialDescriptorJSON {
  // The type of the library lists the transports of today.
  return { type: 'public-key', id: encode(credentialId), transports } as PublicKeyCredentialDescriptorJSON;
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64url');
}
