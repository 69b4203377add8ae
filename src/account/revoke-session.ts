import { enforceLimits } from '../auth/enforce-limits.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserCaller } from '../domain/principal.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';

export type RevokeSessionInput = { principal: UserCaller; sessionId: string; currentPassword: string };

/**
 * A session can always revoke itself, which is a sign-out.
 * @throws AuthError SESSION_NOT_FOUND, also for a session of another user and for an ended session
 */
export async function revokeSession(
  deps: ReauthenticationDeps & Pick<Deps, 'revocationFeed'>,
  { principal, currentPassword, ...input }: RevokeSessionInput,
  call: Call,
): Promise<void> {
  const { store, now } = deps;
  const { userId, sessionId } = principal;
  const { session_id: only } = parseFields({ session_id: () => parseUuid(input.sessionId) });
  await enforceLimits(deps, { attempts: [{ limit: 'REVOCATION_SESSION', key: sessionId }], userId, sessionId }, call);
  const revoked = audit({ type: 'session_revoked', userId, sessionId: only, origin: call.origin });
  if (only === sessionId) {
    const isEnded = await store.sessions.end(only, 'revoked', { at: now(), effects: [revoked] });
    if (!isEnded) throw new AuthError('SESSION_NOT_FOUND');
  } else {
    const { owner } = await assertReauthenticated(
      deps,
      // Counted by session: a thief in another session cannot use up the attempts that the owner needs to end it.
      { principal, currentPassword, attempts: [{ limit: 'CHANGE_PASSWORD_USER', key: sessionId }] },
      call,
    );
    const ended = await store.sessions.endOfOwner(
      owner,
      { only },
      { at: now(), effects: (ids) => (ids.length > 0 ? [revoked] : []) },
    );
    if (ended === null) throw new AuthError('TOKEN_REVOKED');
    if (ended === 0) throw new AuthError('SESSION_NOT_FOUND');
  }
  await deps.revocationFeed.catchUp();
}
