// Accepts no attestation, and self attestation: browsers may keep the latter though the options ask for none
// (WebAuthn level 3 section 5.1.3). Other formats would let strangers reach parsers of certificates and requests for
// revocation lists.
import { type CBORType, decodeCBOR } from '@levischuck/tiny-cbor';
import { isEqual } from '../domain/mac.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import { type AuthenticatorData, assertRules, CeremonyFailed, orFail } from './ceremony.ts';
import { algorithmOf, readCosePublicKey } from './cose-key.ts';
import { isCanonicalSignature } from './signature-form.ts';

type Parameters = Map<string | number, CBORType>;
type Attestation = { format: CBORType; statement: Parameters; authData: Uint8Array };

/** @throws CeremonyFailed, also for trailing bytes */
export function readAttestation(bytes: Buffer): Attestation {
  const decoded = orFail('attestation', () => decodeCBOR(new Uint8Array(bytes)));
  const members: Parameters = decoded instanceof Map ? decoded : new Map();
  const [statement, authData] = [members.get('attStmt'), members.get('authData')];
  if (members.size !== 3 || !(statement instanceof Map) || !(authData instanceof Uint8Array))
    throw new CeremonyFailed('attestation');
  return { format: members.get('fmt'), statement, authData };
}

/**
 * The signature of a self attestation is not checked here.
 * @returns COSE @throws CeremonyFailed
 */
export function attestedPublicKey(
  { format, statement }: Attestation,
  { credentialID: id, credentialPublicKey }: AuthenticatorData,
  credentialId: Buffer,
): Buffer {
  if (!id || !credentialPublicKey) throw new CeremonyFailed('authenticator data');
  const publicKey = Buffer.from(credentialPublicKey);
  assertRules([
    ['credential id', isEqual(Buffer.from(id), credentialId)],
    ['public key', isCosePublicKey(publicKey)],
    ['attestation', isNone(format, statement) || isSelf(format, statement, publicKey)],
  ]);
  return publicKey;
}

function isCosePublicKey(bytes: Buffer): boolean {
  try {
    readCosePublicKey(bytes);
    return true;
  } catch (error) {
    if (error instanceof InvalidValue) return false;
    throw error;
  }
}

/** WebAuthn level 3 section 8.7. */
function isNone(format: CBORType, statement: Parameters): boolean {
  return format === 'none' && statement.size === 0;
}

/** WebAuthn level 3 section 8.2: without x5c, and with the algorithm of the passkey. */
function isSelf(format: CBORType, statement: Parameters, publicKey: Buffer): boolean {
  const sig = statement.get('sig');
  return (
    format === 'packed' &&
    statement.size === 2 &&
    statement.get('alg') === algorithmOf(publicKey) &&
    sig instanceof Uint8Array &&
    isCanonicalSignature(sig, publicKey)
  );
}
