// A verifier with a token cache, and access tokens for it.
import { generateKeyPairSync, sign } from 'node:crypto';
import { ownVerificationKey } from '../../src/keys/own-verification-key.ts';
import { accessTokenHeader } from '../../src/verifier/access-token.ts';
import { createRevocationView } from '../../src/verifier/revocation-view.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { claimsOf } from './claims.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
export const key = ownVerificationKey('k', 'EdDSA', privateKey, publicKey);
const other = generateKeyPairSync('ed25519');
export const otherKey = ownVerificationKey('other', 'EdDSA', other.privateKey, other.publicKey);
const ISSUED_AT = Math.floor(Date.now() / 1000) - 5;

/** A verifier with a cache of this size, its revocation view and its clock. */
export function verifierWithCache(cacheBytes: number) {
  const view = createRevocationView();
  view.confirm(performance.now());
  const clock = { now: Date.now() };
  const verifier = createVerifier({
    issuer: 'https://auth.example',
    keys: [key],
    revalidateSeconds: 1,
    view,
    maxViewAgeMs: 600_000,
    readStatuses: () => Promise.reject(new Error('asked')),
    refreshKeys: () => Promise.reject(new Error('asked')),
    cacheBytes,
    now: () => new Date(clock.now),
  });
  return { view, verifier, clock };
}

export type Issued = { token: string; userId: string; sessionId: string };

/** An access token of a new user, signed with `key`. */
export function issue(): Issued {
  const claims = claimsOf(ISSUED_AT);
  const { sub: userId, sid: sessionId } = claims;
  const [header, payload] = [accessTokenHeader(key), claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signed = `${header}.${payload}`;
  return { token: `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`, userId, sessionId };
}

/** The user of the token, or the reason of the rejection. */
export const whose = (verdict: ReturnType<ReturnType<typeof verifierWithCache>['verifier']['judge']>) =>
  verdict && 'decision' in verdict ? verdict.decision.token.userId : (verdict?.reason ?? 'untold');
