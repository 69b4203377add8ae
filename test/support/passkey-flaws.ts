// Every flaw of a passkey's response, and the cause of its rejection; `form` for a response in another form.
import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { uuidToBytes } from '../../src/domain/uuid.ts';
import { type AssertOptions, coseKeyOf, encodeCbor, type RegisterOptions } from './authenticator.ts';

export type AssertionFlaw = [flaw: string, cause: string, options: Partial<AssertOptions>];
export type RegistrationFlaw = [flaw: string, cause: string, options: Partial<RegisterOptions>];
export type TextFlaw = [flaw: string, change: (text: string) => string];

type Page = { id: string; origin: string };

const otherKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const smallKey = generateKeyPairSync('rsa', { modulusLength: 1_024 });
const curve = generateKeyPairSync('ec', { namedCurve: 'P-384' });

function flawsOfBoth({ id, origin }: Page): AssertionFlaw[] {
  return [
    ['another type', 'type', { clientData: { type: 'payment.get' } }],
    ['a type in upper case', 'type', { clientData: { type: 'WEBAUTHN.GET' } }],
    ['another challenge', 'challenge', { clientData: { challenge: randomBytes(32).toString('base64url') } }],
    ['an empty challenge', 'challenge', { clientData: { challenge: '' } }],
    ['another origin', 'origin', { origin: 'https://evil.example' }],
    ['an origin in cleartext', 'origin', { origin: origin.replace('https:', 'http:') }],
    ['an origin with another port', 'origin', { origin: `${origin}:8443` }],
    ['an origin with a slash', 'origin', { origin: `${origin}/` }],
    ['an origin that is not listed', 'origin', { origin: `https://other.${id}` }],
    ['an origin in upper case', 'origin', { origin: origin.toUpperCase() }],
    ['a frame of another origin', 'cross origin', { clientData: { crossOrigin: true } }],
    ['a frame whose top is allowed', 'cross origin', { clientData: { crossOrigin: true, topOrigin: origin } }],
    ['a top without a frame', 'cross origin', { clientData: { topOrigin: origin } }],
    ['token binding', 'token binding', { clientData: { tokenBinding: { status: 'present', id: 'AAAA' } } }],
    ['a number in the client data', 'client data', { clientData: { origin: 1 } }],
    ['no challenge', 'client data', { clientData: { challenge: undefined } }],
    ['a text for crossOrigin', 'client data', { clientData: { crossOrigin: 'false' } }],
    ['client data that is no JSON', 'client data', { response: { clientDataJSON: Buffer.from('{') } }],
    ['client data that is null', 'client data', { response: { clientDataJSON: Buffer.from('null') } }],
    [
      'client data that is not UTF-8',
      'client data',
      { response: { clientDataJSON: Buffer.from('7b22ff227d', 'hex') } },
    ],
    ['empty client data', 'client data', { response: { clientDataJSON: '' } }],
    ['another relying party', 'relying party', { rpId: 'evil.example' }],
    ['a subdomain as relying party', 'relying party', { rpId: `app.${id}` }],
    ['no user present', 'user presence', { flags: { up: false } }],
    ['an absent user who is verified', 'user presence', { flags: { up: false, uv: true } }],
    ['a backup of what cannot be backed up', 'backup flags', { flags: { be: false, bs: true } }],
    ['trailing bytes in the authenticator data', 'authenticator data', { trailingBytes: Buffer.from([0]) }],
    ['extensions that are missing', 'authenticator data', { flags: { ed: true } }],
    [
      'trailing bytes after extensions',
      'authenticator data',
      { flags: { ed: true }, trailingBytes: Buffer.concat([encodeCbor({}), Buffer.from([0])]) },
    ],
    ['a padded value', 'form', { response: { clientDataJSON: 'e30=' } }],
    ['base64 in place of base64url', 'form', { response: { clientDataJSON: '++//' } }],
    ['unused bits that are set', 'form', { response: { clientDataJSON: 'e31' } }],
    ['a number', 'form', { response: { clientDataJSON: 5 } }],
    ['no client data', 'form', { response: { clientDataJSON: undefined } }],
  ];
}

/** @param page of the relying party: its id, and an origin that it lists */
export function registrationFlaws(page: Page): RegistrationFlaw[] {
  const { id } = page;
  return [
    ...(flawsOfBoth(page) as RegistrationFlaw[]),
    ['a sign-in', 'type', { clientData: { type: 'webauthn.get' } }],
    ['no attested data', 'authenticator data', { flags: { at: false } }],
    [
      'an id in the authenticator data alone',
      'credential id',
      { attestationObject: { authData: foreignAuthData(id) } },
    ],
    ['an id of 15 bytes', 'form', { credentialId: randomBytes(15) }],
    ['an id of 1 KiB', 'form', { credentialId: randomBytes(1_024) }],
    ['an RSA key of 1024 bits', 'public key', { publicKey: coseKeyOf(smallKey.publicKey, 'RS256') }],
    ['a key of another curve', 'public key', { publicKey: coseKeyOf(curve.publicKey, 'ES256') }],
    ['an empty key', 'public key', { publicKey: encodeCbor({}) }],
    ['a key that is no CBOR', 'authenticator data', { publicKey: Buffer.from([0xff]) }],
    ['a key with trailing bytes', 'authenticator data', { publicKey: Buffer.concat([ed25519(), Buffer.from([0])]) }],
    ['a key in another encoding', 'authenticator data', { publicKey: longEncoding(ed25519()) }],
    ['a statement for no attestation', 'attestation', { attestationObject: { attStmt: { alg: -7 } } }],
    ['an unknown attestation', 'attestation', { attestationObject: { fmt: 'other' } }],
    [
      'an attestation of U2F',
      'attestation',
      { attestationObject: { fmt: 'fido-u2f', attStmt: { x5c: 'a', sig: 'b' } } },
    ],
    ['an attestation of a TPM', 'attestation', { attestationObject: { fmt: 'tpm' } }],
    ['an attestation without a format', 'attestation', { attestationObject: { fmt: 1 } }],
    ['a statement that is a text', 'attestation', { attestationObject: { attStmt: 'none' } }],
    ['authenticator data as a text', 'attestation', { attestationObject: { authData: 'text' } }],
    ['short authenticator data', 'authenticator data', { attestationObject: { authData: randomBytes(36) } }],
    ['another member', 'attestation', { attestationObject: { other: 1 } }],
    ['no CBOR', 'attestation', { response: { attestationObject: Buffer.from([0xff]) } }],
    ['a list in place of the attestation', 'attestation', { response: { attestationObject: Buffer.from([0x80]) } }],
    ['an empty attestation', 'attestation', { response: { attestationObject: '' } }],
    ['deep nesting', 'attestation', { response: { attestationObject: Buffer.alloc(10_000, 0x81) } }],
    ['a self attestation by another key', 'signature', { attestation: 'packed', signedBy: otherKey.privateKey }],
    [
      'a self attestation of another algorithm',
      'attestation',
      { attestation: 'packed', attestationObject: { attStmt: { alg: -257, sig: randomBytes(70) } } },
    ],
    [
      'a self attestation without a signature',
      'attestation',
      { attestation: 'packed', attestationObject: { attStmt: { alg: -7 } } },
    ],
    [
      'a self attestation with certificates',
      'attestation',
      { attestation: 'packed', attestationObject: { attStmt: { alg: -7, sig: randomBytes(70), x5c: randomBytes(9) } } },
    ],
    [
      'an empty signature',
      'attestation',
      { attestation: 'packed', attestationObject: { attStmt: { alg: -7, sig: Buffer.alloc(0) } } },
    ],
    ['17 transports', 'form', { response: { transports: Array(17).fill('usb') } }],
    ['a long transport', 'form', { response: { transports: ['u'.repeat(33)] } }],
    ['a transport with a NUL', 'form', { response: { transports: ['usb\0'] } }],
    ['transports that are a text', 'form', { response: { transports: 'usb' } }],
    ['no attestation object', 'form', { response: { attestationObject: undefined } }],
  ];
}

/** For an assertion that must verify the user. */
export function assertionFlaws(page: Page): AssertionFlaw[] {
  const { id } = page;
  return [
    ...flawsOfBoth(page),
    ['a registration', 'type', { clientData: { type: 'webauthn.create' } }],
    ['no user verification', 'user verification', { flags: { uv: false } }],
    ['attested data', 'authenticator data', { flags: { at: true }, trailingBytes: attestedData() }],
    ['attested data that is missing', 'authenticator data', { flags: { at: true } }],
    ['a passkey that can no longer be backed up', 'backup flags', { flags: { be: false, bs: false } }],
    ['short authenticator data', 'authenticator data', { response: { authenticatorData: randomBytes(36) } }],
    ['empty authenticator data', 'authenticator data', { response: { authenticatorData: '' } }],
    ['long authenticator data', 'form', { response: { authenticatorData: randomBytes(1_025) } }],
    ['another user', 'user handle', { userHandle: uuidToBytes(randomUUID()).toString('base64url') }],
    ['a user handle of 64 bytes', 'user handle', { userHandle: randomBytes(64).toString('base64url') }],
    ['a user handle of 65 bytes', 'form', { userHandle: randomBytes(65).toString('base64url') }],
    ['an empty user handle', 'form', { userHandle: '' }],
    ['another key', 'signature', { signedBy: otherKey.privateKey }],
    ['a signature of another algorithm', 'signature', { signedBy: smallKey.privateKey }],
    ['an empty signature', 'signature', { response: { signature: '' } }],
    ['a signature that is no DER', 'signature', { response: { signature: randomBytes(64) } }],
    ['authenticator data that was not signed', 'signature', { response: { authenticatorData: authenticatorData(id) } }],
    ['no signature', 'form', { response: { signature: undefined } }],
    ['no authenticator data', 'form', { response: { authenticatorData: undefined } }],
  ];
}

const parsed = (text: string) => JSON.parse(text) as Record<string, unknown>;

/** Texts that are not the JSON of a response. */
export const TEXT_FLAWS: TextFlaw[] = [
  ['no JSON', (text) => text.slice(1)],
  ['a list', (text) => `[${text}]`],
  ['null', () => 'null'],
  ['an empty text', () => ''],
  ['deep nesting', () => '['.repeat(16_000)],
  ['no id', (text) => JSON.stringify({ ...parsed(text), id: undefined })],
  ['another id', (text) => JSON.stringify({ ...parsed(text), id: randomBytes(32).toString('base64url') })],
  ['an id as base64', (text) => JSON.stringify({ ...parsed(text), id: '++//', rawId: '++//' })],
  ['another type', (text) => JSON.stringify({ ...parsed(text), type: 'password' })],
  ['no response', (text) => JSON.stringify({ ...parsed(text), response: undefined })],
  ['a response that is a text', (text) => JSON.stringify({ ...parsed(text), response: '' })],
  ['65 KiB', (text) => JSON.stringify({ ...parsed(text), more: 'a'.repeat(65 * 1024) })],
  ['more than 16 KiB', (text) => text + ' '.repeat(16 * 1024 + 1 - text.length)],
  ['more than 16 KiB in UTF-8', (text) => JSON.stringify({ ...parsed(text), more: 'ä'.repeat(8 * 1024) })],
];

function ed25519(): Buffer {
  return coseKeyOf(generateKeyPairSync('ed25519').publicKey, 'EdDSA');
}

/** The number of parameters takes two bytes. */
function longEncoding(key: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xb8, (key[0] as number) & 0x1f]), key.subarray(1)]);
}

/** The data of another passkey, in the right form. */
function foreignAuthData(rpId: string): Buffer {
  return Buffer.concat([authenticatorData(rpId, 0x45), attestedData()]);
}

function authenticatorData(rpId: string, flags = 0x1d): Buffer {
  const rpIdHash = createHash('sha256').update(rpId).digest();
  return Buffer.concat([rpIdHash, Buffer.from([flags, 0, 0, 0, 9])]);
}

function attestedData(): Buffer {
  const id = randomBytes(32);
  return Buffer.concat([Buffer.alloc(16), Buffer.from([0, id.length]), id, ed25519()]);
}
