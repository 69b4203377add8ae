import { throttle } from '../auth/throttle.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { UserPrincipal } from '../domain/principal.ts';

/** Returns how many it ended. */
export async function revokeOtherSessions(
  deps: Pick<Deps, 'store' | 'changeFeed' | 'limiter' | 'now'>,
  { userId, sessionId: allBut }: UserPrincipal,
  call: Call,
): Promise<number> {
  await throttle(deps, [{ limit: 'REVOCATION_SESSION', key: allBut }], { userId, sessionId: allBut }, call);
  const ended = await deps.store.sessions.endOfUser(userId, { allBut }, deps.now(), (ids) =>
    ids.map((sessionId) => audit({ type: 'session_revoked', userId, sessionId, origin: call.origin })),
  );
  if (ended > 0) await deps.changeFeed.catchUp();
  return ended;
}
