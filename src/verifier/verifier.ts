// The decision engine: the one place that says whom an access token speaks for. Owns the order of the checks. Any throw
// inside it is a "no"; a revocation source that fails makes the answer an error, never a "yes".
import { AuthError } from '../domain/auth-error.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import { type AccessClaims, keysByHeader, openAccessToken, type VerificationKey } from './access-token.ts';

/** What has become of a token's session and user since it was signed. */
type Standing = 'live' | 'ended';

/** The seam where an in-memory view of revocations will take the place of a look-up. */
export type Revocations = {
  /** @throws when it cannot tell */
  standing(claims: { sessionId: string; userId: string }, signal?: AbortSignal): Promise<Standing>;
};

export type Decision = {
  principal: UserPrincipal;
  /** Until when a caller may keep this answer. */
  revalidateAt: Date;
};

export type Verifier = {
  /**
   * @param audience when not empty, the token must carry it
   * @throws AuthError TOKEN_INVALID, TOKEN_EXPIRED, AUDIENCE_MISMATCH or TOKEN_REVOKED
   */
  verify(token: string, audience: string, signal?: AbortSignal): Promise<Decision>;
};

export type VerifierOptions = {
  issuer: string;
  keys: VerificationKey[];
  /** How long a caller may keep an answer, in seconds. */
  revalidateSeconds: number;
  revocations: Revocations;
  now: () => Date;
};

export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, revocations, revalidateSeconds, now } = options;
  const keys = keysByHeader(options.keys);

  return {
    async verify(token, audience, signal) {
      const at = now();
      const principal = principalOf(openAccessToken(token, keys, issuer, at), audience, at);
      if ((await revocations.standing(principal, signal)) !== 'live') throw new AuthError('TOKEN_REVOKED');
      const keepUntil = at.getTime() + revalidateSeconds * 1000;
      return { principal, revalidateAt: new Date(Math.min(keepUntil, principal.expiresAt.getTime())) };
    },
  };
}

function principalOf(claims: AccessClaims, audience: string, now: Date): UserPrincipal {
  const expiresAt = new Date(claims.exp * 1000);
  if (expiresAt <= now) throw new AuthError('TOKEN_EXPIRED');
  if (audience !== '' && !claims.aud.includes(audience)) throw new AuthError('AUDIENCE_MISMATCH');
  return {
    kind: 'user',
    userId: claims.sub,
    sessionId: claims.sid,
    email: claims.email,
    roles: claims.roles,
    issuedAt: new Date(claims.iat * 1000),
    expiresAt,
  };
}
