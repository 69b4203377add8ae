import { ed25519, p256, rsa, type Signer } from './signers.ts';

/** In milliseconds since 1970. All cases happen around this time. */
export const NOW = 1_800_000_000_000;
export const SECONDS = NOW / 1000;
export const ISSUER = 'https://auth.example.com';
export const SESSION = '018f6b2e-0000-7000-8000-00000000005e';
export const OTHER = '018f6b2e-0000-7000-8000-0000000000ff';
export const USER = '018f6b2e-0000-7000-8000-000000000001';
export const SERVICE = '018f6b2e-0000-7000-8000-000000000002';
export const API_KEY = '018f6b2e-0000-7000-8000-00000000006b';

export const edDsa = ed25519('first');
export const nextEdDsa = ed25519('second');
export const unknownEdDsa = ed25519('unknown');
export const es256 = p256('first');
export const otherEs256 = p256('second');
export const rs256 = rsa();

const TOKEN = '018f6b2e-0000-7000-8000-0000000000a1';

export const USER_CLAIMS = {
  iss: ISSUER,
  sub: USER,
  aud: ['latchkey', 'shop'],
  client_id: 'latchkey',
  iat: SECONDS - 60,
  exp: SECONDS + 840,
  jti: TOKEN,
  sid: SESSION,
  email: 'ada@example.com',
  email_verified: true,
  refresh_counter: 4,
  roles: ['user', 'editor'],
  epoch: 3,
  roles_epoch: 7,
};

const SERVICE_CLAIMS = {
  iss: ISSUER,
  sub: SERVICE,
  aud: ['latchkey'],
  client_id: 'billing',
  iat: SECONDS - 60,
  exp: SECONDS + 840,
  jti: TOKEN,
  sid: API_KEY,
  roles: ['latchkey.roles.read'],
  epoch: 3,
  roles_epoch: 7,
};

export type Changes = Record<string, unknown>;

/** @param changes claims; undefined removes one */
export function userToken(changes: Changes = {}, signer: Signer = edDsa): string {
  return signed(headerOf(signer), JSON.stringify({ ...USER_CLAIMS, ...changes }), signer);
}

export function serviceToken(changes: Changes = {}): string {
  return signed(headerOf(edDsa), JSON.stringify({ ...SERVICE_CLAIMS, ...changes }), edDsa);
}

export function headerOf({ algorithm, kid }: Pick<Signer, 'algorithm' | 'kid'>): string {
  return JSON.stringify({ alg: algorithm, kid, typ: 'at+jwt' });
}

/** @param header JSON, as the other parts before their encoding */
export function signed(header: string, payload: string | Buffer, signer: Pick<Signer, 'sign'>): string {
  return signedParts(encode(header), encode(payload), signer);
}

export function signedParts(header: string, payload: string, signer: Pick<Signer, 'sign'>): string {
  return `${header}.${payload}.${encode(signer.sign(Buffer.from(`${header}.${payload}`)))}`;
}

export function withSignature(token: string, change: (signature: Buffer) => Buffer): string {
  const [header = '', payload = '', signature = ''] = token.split('.');
  return [header, payload, encode(change(Buffer.from(signature, 'base64url')))].join('.');
}

export function encode(content: string | Buffer): string {
  return Buffer.from(content).toString('base64url');
}
