// The tokens that every library of the matrix receives. Each comes from a real Latchkey, or is forged with a real key of one.
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, exportJWK, type JWTPayload, SignJWT } from 'jose';
import { freePort } from '../../src/dev/free-port.ts';
import type { SigningAlgorithm } from '../../src/domain/signing-algorithm.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { decryptSigningKey } from '../../src/keys/signing-key.ts';
import { databaseOf } from '../../src/store/postgres/database.ts';
import { createSigningKeyRows } from '../../src/store/signing-key-rows.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { registered, serviceAccount, serviceToken } from '../support/people.ts';

/** A valid token has a subject. */
export type TokenCase = { name: string; token: string; isValid: boolean; subject: string | undefined };

/**
 * Forms that several libraries accept. Only the holder of the signing key or of a valid token can make them: an unknown
 * `crit`, which RFC 7515 section 4.1.11 forbids to ignore, and another text of a valid token.
 */
export const UNCHECKED = ['unknown crit', 'a byte after the signature'];

export type Deployment = {
  issuer: string;
  algorithm: SigningAlgorithm;
  cases: TokenCase[];
  close(): Promise<void>;
};

export const AUDIENCE = 'orders';
const EXPIRED_FOR_MS = 20 * 60_000;

/** A Latchkey with this algorithm, and the tokens for it. The second Latchkey only differs in its keys. */
export async function deploy(algorithm: SigningAlgorithm): Promise<Deployment> {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const environment = { SIGNING_ALGORITHM: algorithm, AUDIENCE: `${AUDIENCE},billing`, ISSUER: issuer };
  const app = await startTestApp({ ...environment, PORT: String(port) });
  const other = await startTestApp(environment);
  try {
    return { issuer, algorithm, cases: await casesOf(app, other), close: () => app.close() };
  } finally {
    await other.close();
  }
}

async function casesOf(app: TestApp, other: TestApp): Promise<TokenCase[]> {
  const call = viaFetch(app.url);
  const ofUser = await login(call);
  const ofService = await serviceToken(call, await serviceAccount(app, 'mailer', []), [AUDIENCE]);
  app.advance(-EXPIRED_FOR_MS);
  const expired = await login(call);
  app.advance(EXPIRED_FOR_MS);
  const rejected = {
    expired,
    'another audience': await login(call, ['billing']),
    'another deployment': await login(viaFetch(other.url)),
    ...(await forgeries(app, ofUser)),
  };
  return [
    { name: 'of a user', token: ofUser, isValid: true, subject: decodeJwt(ofUser).sub },
    { name: 'of a service', token: ofService, isValid: true, subject: decodeJwt(ofService).sub },
    ...Object.entries(rejected).map(([name, token]) => ({ name, token, isValid: false, subject: undefined })),
  ];
}

async function login(call: Caller, audiences: string[] = []): Promise<string> {
  const { email, password } = await registered(call);
  const { code, body } = await call(auth.login, { email, password, audiences });
  if (code !== 'ok') throw new Error(`Login: ${code}`);
  return body.tokens.accessToken;
}

async function forgeries(app: TestApp, token: string): Promise<Record<string, string>> {
  const { privateKey, publicKey } = await signingKeyOf(app, token);
  const header = decodeProtectedHeader(token);
  const claims = decodeJwt(token);
  const { alg = '' } = header;
  const sign = (changes: object, payload: JWTPayload = claims, key: KeyObject = privateKey) =>
    new SignJWT(payload).setProtectedHeader({ ...header, alg, ...changes }).sign(key, { crit: { 'x-unknown': true } });
  const stranger = strangerKeys(alg);
  const [head = '', body = '', signature = ''] = token.split('.');
  const administrator = encode({ ...claims, roles: ['admin'] });
  return {
    'another issuer': await sign({}, { ...claims, iss: 'https://issuer.example' }),
    'no issuer': await sign({}, without(claims, 'iss')),
    'no audience': await sign({}, without(claims, 'aud')),
    'no expiry': await sign({}, without(claims, 'exp')),
    'typ JWT': await sign({ typ: 'JWT' }),
    'typ logout+jwt': await sign({ typ: 'logout+jwt' }),
    'no typ': await sign({ typ: undefined }),
    'unknown crit': await sign({ crit: ['x-unknown'], 'x-unknown': true }),
    'another key under a known kid': await sign({}, claims, stranger.privateKey),
    'a key in the header': await sign({ jwk: await exportJWK(stranger.publicKey) }, claims, stranger.privateKey),
    'changed claims': [head, administrator, signature].join('.'),
    'changed signature': [head, body, flipped(signature)].join('.'),
    'a byte after the signature': [head, body, longer(signature)].join('.'),
    'no signature': [head, body, ''].join('.'),
    'alg none': [encode({ ...header, alg: 'none' }), body, ''].join('.'),
    'HS256 by the public key in PEM': hmac(header, body, String(publicKey.export({ type: 'spki', format: 'pem' }))),
    'HS256 by the public key in DER': hmac(header, body, publicKey.export({ type: 'spki', format: 'der' })),
    'not a token': 'lkr_not-a-token',
    'an empty text': '',
  };
}

async function signingKeyOf(app: TestApp, token: string): Promise<{ privateKey: KeyObject; publicKey: KeyObject }> {
  const { kid } = decodeProtectedHeader(token);
  const stored = await createSigningKeyRows(databaseOf(app.owner), () => '').usable();
  const master = Buffer.from(app.environment.MASTER_KEY ?? '', 'base64');
  const row = stored.find((key) => key.kid === kid);
  const key = row && (await decryptSigningKey(row, derivePurposeKeys([master]).signingKeyEncryption));
  if (!key) throw new Error(`no signing key ${kid}`);
  return { privateKey: key.privateKey, publicKey: createPublicKey(key.privateKey) };
}

function strangerKeys(algorithm: string): { privateKey: KeyObject; publicKey: KeyObject } {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  return algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
}

function hmac(header: object, body: string, secret: string | Buffer): string {
  const signed = `${encode({ ...header, alg: 'HS256' })}.${body}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function without(claims: JWTPayload, name: string): JWTPayload {
  return Object.fromEntries(Object.entries(claims).filter(([claim]) => claim !== name));
}

/** The first character has no unused bits. */
function flipped(signature: string): string {
  return (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1);
}

function longer(signature: string): string {
  return Buffer.concat([Buffer.from(signature, 'base64url'), Buffer.of(0)]).toString('base64url');
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
