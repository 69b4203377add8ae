import type { Deps } from '../deps.ts';
import { isApiKey } from '../domain/api-key.ts';
import { OWN_AUDIENCE } from '../domain/audience.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { acceptedClaims } from '../verifier/access-token.ts';
import { enforceLimits } from './enforce-limits.ts';
import { logout } from './logout.ts';

type RevokeTokenDeps = Parameters<typeof logout>[0] & Parameters<typeof enforceLimits>[0] & Pick<Deps, 'verifier'>;

export type RevokeTokenInput = { token: string };

/**
 * Ends the session of a refresh token or of a user's access token. Every verifier rejects its tokens within a second.
 * An invalid token is `done`.
 * @returns `unsupported` for the token of a service, and for one that Latchkey's own APIs reject: a service that
 * receives tokens for itself alone must not sign users out
 * @throws AuthError RATE_LIMITED, or when the token cannot be checked now
 */
export async function revokeToken(
  deps: RevokeTokenDeps,
  { token }: RevokeTokenInput,
  call: Call,
): Promise<'done' | 'unsupported'> {
  if (isApiKey(token)) return 'unsupported';
  const [verdict] = await deps.verifier.judgeAll([token], OWN_AUDIENCE, call.signal);
  const reason = verdict && 'reason' in verdict ? verdict.reason : null;
  if (reason === 'AUDIENCE_MISMATCH') return 'unsupported';
  // A stale token has a session too.
  if (reason !== null && reason !== 'TOKEN_STALE') {
    await logout(deps, { refreshToken: token }, call);
    return 'done';
  }
  const { sub: userId, sid: sessionId, email } = acceptedClaims(token);
  if (email === undefined) return 'unsupported';
  await enforceLimits(deps, { attempts: [{ limit: 'REVOCATION_SESSION', key: sessionId }], userId, sessionId }, call);
  const ended = audit({ type: 'logged_out', userId, sessionId, origin: call.origin });
  await deps.store.sessions.end(sessionId, 'logged_out', { at: deps.now(), effects: [ended] });
  await deps.revocationFeed.catchUp();
  return 'done';
}
