import { type FactorKind, MAX_FACTORS, parseNewFactorName } from '../domain/factor.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import { InvalidValue, invalid } from '../domain/parse-fields.ts';
import { encryptSecret } from '../domain/secret-encryption.ts';
import { uuidToBytes } from '../domain/uuid.ts';
import { readCosePublicKey } from '../factors/cose-key.ts';
import { parseTotpUri } from '../factors/totp.ts';
import type { NewFactor } from '../store/factor-rows.ts';

export type ImportedPasskey = {
  credentialId: Uint8Array;
  /** COSE_Key. */
  publicKey: Uint8Array;
  counter: number;
  /** Empty for the bytes of the user's UUID. */
  userHandle: Uint8Array;
  transports: string[];
  backedUp: boolean;
};

export type ImportedFactor = {
  /** Empty for a default name. */
  name: string;
  /** Empty for a passkey. */
  totpUri: string;
  passkey: ImportedPasskey | null;
};

export type FactorDeps = {
  newId: () => string;
  /** Null where no row has a TOTP secret. */
  totpKeys: KeyRing | null;
};

/** WebAuthn level 3 section 4, Credential ID. */
const [MIN_ID_BYTES, MAX_ID_BYTES] = [16, 1_023];
const MAX_USER_HANDLE_BYTES = 64;
const MAX_COUNTER = 4_294_967_295;
const MAX_TRANSPORTS = 10;
const TOO_MANY = `must be at most ${MAX_FACTORS.totp} with a totp_uri and ${MAX_FACTORS.passkey} with a passkey`;

/** @throws InvalidValue */
export function parseFactors(deps: FactorDeps, given: ImportedFactor[], userId: string): NewFactor[] {
  const kinds = given.map(kindOf);
  for (const [kind, most] of Object.entries(MAX_FACTORS)) {
    if (kinds.filter((one) => one === kind).length > most) invalid(TOO_MANY);
  }
  const secrets = given.map(({ totpUri }) =>
    totpUri === '' ? null : parsePart('totp_uri', () => parseTotpUri(totpUri)),
  );
  const keys = given.map(({ passkey }, n) => Buffer.from(secrets[n] ?? passkey?.credentialId ?? []).toString('hex'));
  if (new Set(keys).size < keys.length) invalid('must differ from each other');
  return given.map(({ name: givenName, passkey }, n) => {
    const [id, kind, secret] = [deps.newId(), kinds[n] as FactorKind, secrets[n]];
    const name = parsePart('name', () => parseNewFactorName(givenName.trim(), kind));
    if (passkey) return { id, name, kind: 'passkey', ...parsePasskey(passkey, userId) };
    if (!secret || !deps.totpKeys) throw new Error('TOTP secrets need the key that encrypts them');
    return { id, name, kind: 'totp', secret: encryptSecret(secret, id, deps.totpKeys), step: 0 };
  });
}

function kindOf({ totpUri, passkey }: ImportedFactor): FactorKind {
  if ((totpUri === '') === (passkey === null)) invalid('must each have either a totp_uri or a passkey');
  return passkey ? 'passkey' : 'totp';
}

function parsePasskey(passkey: ImportedPasskey, userId: string) {
  const { backedUp, counter, transports } = passkey;
  const credentialId = sized('credential_id', passkey.credentialId, [MIN_ID_BYTES, MAX_ID_BYTES]);
  const publicKey = Buffer.from(passkey.publicKey);
  parsePart('public_key', () => readCosePublicKey(publicKey));
  if (!Number.isInteger(counter) || counter < 0 || counter > MAX_COUNTER)
    invalid(`counter must be 0 to ${MAX_COUNTER}`);
  if (transports.length > MAX_TRANSPORTS || !transports.every((one) => /^[a-z-]{1,32}$/.test(one))) {
    invalid(`transports must be at most ${MAX_TRANSPORTS} words, such as usb or internal`);
  }
  const userHandle =
    passkey.userHandle.length === 0
      ? uuidToBytes(userId)
      : sized('user_handle', passkey.userHandle, [1, MAX_USER_HANDLE_BYTES]);
  return { credentialId, publicKey, signCount: counter, userHandle, transports, backedUp, isBackupEligible: null };
}

function sized(name: string, bytes: Uint8Array, [least, most]: [number, number]): Buffer {
  if (bytes.length < least || bytes.length > most) invalid(`${name} must have ${least} to ${most} bytes`);
  return Buffer.from(bytes);
}

/** Names the part of the factor in the description. */
function parsePart<T>(part: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof InvalidValue ? new InvalidValue(`${part}: ${error.message}`) : error;
  }
}
