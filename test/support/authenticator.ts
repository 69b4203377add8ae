// An authenticator with its browser, in software: it makes passkeys and signs with them, correctly or with flaws.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export type PasskeyAlgorithm = 'ES256' | 'EdDSA' | 'RS256';

/** Each replaces the right value. */
type Flaws = {
  /** Members of the client data, such as `type`, `challenge` or `crossOrigin`. */
  clientData?: Record<string, unknown>;
  rpId?: string;
  /** Flags of the authenticator data. A new passkey has all but `ed`. An assertion also lacks `at`. */
  flags?: Partial<Record<Flag, boolean>>;
  counter?: number;
  /** Added to the end of the authenticator data, before it is signed. */
  trailingBytes?: Buffer;
  signedBy?: KeyObject;
  /** Members of the response. */
  response?: Record<string, unknown>;
};

export type RegisterOptions = Flaws & {
  origin: string;
  credentialId?: Buffer;
  /** COSE. */
  publicKey?: Buffer;
  /** `packed` is self attestation. */
  attestation?: 'none' | 'packed';
  /** Members of the attestation object. */
  attestationObject?: Record<string, Encodable>;
};
export type AssertOptions = Flaws & { origin: string; userHandle?: string | null };

export type Authenticator = {
  /** @returns the JSON that a browser makes of a new passkey */
  register(creationOptionsJson: string, options: RegisterOptions): string;
  /** Signs with the newest passkey that the options allow. @returns the JSON that a browser makes of an assertion */
  assert(requestOptionsJson: string, options: AssertOptions): string;
};

type Flag = keyof typeof FLAGS;
type Passkey = { id: Buffer; rpId: string; userHandle: string; counter: number; privateKey: KeyObject };

const FLAGS = { up: 0x01, uv: 0x04, be: 0x08, bs: 0x10, at: 0x40, ed: 0x80 };

/** @param counts false for an authenticator whose counters stay at 0, such as one that copies its passkeys */
export function createAuthenticator({ algorithm = 'ES256' as PasskeyAlgorithm, counts = true } = {}): Authenticator {
  const passkeys: Passkey[] = [];
  return {
    register(json, options) {
      const { rp, user, challenge, excludeCredentials = [] } = JSON.parse(json);
      if (passkeys.some(({ id }) => isListed(excludeCredentials, id))) throw new Error('the account has this passkey');
      const { publicKey, privateKey } = newKeyPair(algorithm);
      const id = options.credentialId ?? randomBytes(32);
      const passkey = { id, rpId: rp.id, userHandle: user.id, counter: counts ? 1 : 0, privateKey };
      passkeys.push(passkey);
      const clientDataJSON = clientDataOf('webauthn.create', challenge, options);
      const cose = options.publicKey ?? coseKeyOf(publicKey, algorithm);
      const attested = Buffer.concat([Buffer.alloc(16), uint16(id.length), id, cose]);
      const authData = authenticatorData(passkey, attested, options);
      const sig = () => signatureOf(authData, clientDataJSON, options.signedBy ?? privateKey);
      const isPacked = options.attestation === 'packed';
      const attestationObject = encodeCbor({
        fmt: isPacked ? 'packed' : 'none',
        attStmt: isPacked ? { alg: COSE_NUMBERS[algorithm], sig: sig() } : {},
        authData,
        ...options.attestationObject,
      });
      return responseOf(id, { clientDataJSON, attestationObject, transports: ['internal'], ...options.response });
    },

    assert(json, options) {
      const { rpId, challenge, allowCredentials = [] } = JSON.parse(json);
      const isAllowed = ({ id }: Passkey) => allowCredentials.length === 0 || isListed(allowCredentials, id);
      const passkey = passkeys.findLast((each) => each.rpId === rpId && isAllowed(each));
      if (!passkey) throw new Error('this authenticator has no such passkey');
      if (counts) passkey.counter += 1;
      const clientDataJSON = clientDataOf('webauthn.get', challenge, options);
      const data = authenticatorData(passkey, null, options);
      const { userHandle = passkey.userHandle } = options;
      const signature = signatureOf(data, clientDataJSON, options.signedBy ?? passkey.privateKey);
      return responseOf(passkey.id, {
        clientDataJSON,
        authenticatorData: data,
        signature,
        ...(userHandle !== null && { userHandle }),
        ...options.response,
      });
    },
  };
}

function isListed(descriptors: { id: string }[], id: Buffer): boolean {
  return descriptors.some((descriptor) => descriptor.id === id.toString('base64url'));
}

function clientDataOf(type: string, challenge: string, { origin, clientData }: Flaws & { origin: string }): Buffer {
  return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false, ...clientData }));
}

function authenticatorData(
  { rpId, counter }: Passkey,
  attested: Buffer | null,
  { rpId: otherRpId, flags, counter: otherCounter, trailingBytes = Buffer.alloc(0) }: Flaws,
): Buffer {
  const raised = { up: true, uv: true, be: true, bs: true, at: attested !== null, ed: false, ...flags };
  const byte = (Object.keys(FLAGS) as Flag[]).reduce((sum, flag) => sum + (raised[flag] ? FLAGS[flag] : 0), 0);
  const head = Buffer.alloc(5);
  head.writeUInt8(byte);
  head.writeUInt32BE(otherCounter ?? counter, 1);
  const rpIdHash = createHash('sha256')
    .update(otherRpId ?? rpId)
    .digest();
  return Buffer.concat([rpIdHash, head, attested ?? Buffer.alloc(0), trailingBytes]);
}

function signatureOf(authData: Buffer, clientDataJSON: Buffer, key: KeyObject): Buffer {
  const content = Buffer.concat([authData, createHash('sha256').update(clientDataJSON).digest()]);
  return sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', content, key);
}

/** As `PublicKeyCredential.toJSON` gives it. */
function responseOf(id: Buffer, response: Record<string, unknown>): string {
  const encoded = id.toString('base64url');
  const members = Object.entries(response).map(([name, value]) => [
    name,
    Buffer.isBuffer(value) ? value.toString('base64url') : value,
  ]);
  return JSON.stringify({
    id: encoded,
    rawId: encoded,
    type: 'public-key',
    authenticatorAttachment: 'platform',
    clientExtensionResults: {},
    response: Object.fromEntries(members),
  });
}

const COSE_NUMBERS: Record<PasskeyAlgorithm, number> = { ES256: -7, EdDSA: -8, RS256: -257 };

function newKeyPair(algorithm: PasskeyAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  switch (algorithm) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'EdDSA':
      return generateKeyPairSync('ed25519');
    case 'RS256':
      return generateKeyPairSync('rsa', { modulusLength: 2_048 });
  }
}

/** RFC 9052 section 7. */
export function coseKeyOf(publicKey: KeyObject, algorithm: PasskeyAlgorithm): Buffer {
  const { x = '', y = '', n = '', e = '' } = publicKey.export({ format: 'jwk' });
  const bytes = (text: string) => Buffer.from(text, 'base64url');
  const alg = COSE_NUMBERS[algorithm];
  const parameters: Record<PasskeyAlgorithm, [number, Encodable][]> = {
    ES256: [
      [1, 2],
      [3, alg],
      [-1, 1],
      [-2, bytes(x)],
      [-3, bytes(y)],
    ],
    EdDSA: [
      [1, 1],
      [3, alg],
      [-1, 6],
      [-2, bytes(x)],
    ],
    RS256: [
      [1, 3],
      [3, alg],
      [-1, bytes(n)],
      [-2, bytes(e)],
    ],
  };
  return encodeCbor(new Map(parameters[algorithm]));
}

export type Encodable = number | string | Buffer | { [name: string]: Encodable } | Map<number | string, Encodable>;

/** Canonical CBOR of CTAP2, apart from the order of members. */
export function encodeCbor(value: Encodable): Buffer {
  if (typeof value === 'number') return value < 0 ? cborHead(1, -1 - value) : cborHead(0, value);
  if (typeof value === 'string') return Buffer.concat([cborHead(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([cborHead(2, value.length), value]);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Buffer.concat([cborHead(5, entries.length), ...entries.flat().map((each) => encodeCbor(each as Encodable))]);
}

function cborHead(majorType: number, argument: number): Buffer {
  const type = majorType << 5;
  if (argument < 24) return Buffer.from([type + argument]);
  if (argument < 0x100) return Buffer.from([type + 24, argument]);
  return Buffer.concat([Buffer.from([type + 25]), uint16(argument)]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
