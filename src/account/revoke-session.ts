import { throttle } from '../auth/throttle.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import { parseUuid } from '../domain/uuid.ts';

export type RevokeSessionInput = { principal: UserPrincipal; sessionId: string };

/** @throws AuthError SESSION_NOT_FOUND, also for a session of somebody else, and for one that has ended */
export async function revokeSession(
  deps: Pick<Deps, 'store' | 'changeFeed' | 'limiter' | 'now'>,
  input: RevokeSessionInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId: current } = input.principal;
  const { session_id: only } = parseFields({ session_id: () => parseUuid(input.sessionId) });
  await throttle(deps, [{ limit: 'REVOCATION_SESSION', key: current }], { userId, sessionId: current }, call);
  const ended = await deps.store.sessions.endOfUser(userId, { only }, deps.now(), (ids) =>
    ids.map((sessionId) => audit({ type: 'session_revoked', userId, sessionId, origin: call.origin })),
  );
  if (ended === 0) throw new AuthError('SESSION_NOT_FOUND');
  await deps.changeFeed.catchUp();
}
