import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { UserPrincipal } from '../domain/principal.ts';

/** Returns how many it ended. */
export async function revokeOtherSessions(
  deps: Pick<Deps, 'store' | 'changeFeed' | 'now'>,
  { userId, sessionId: allBut }: UserPrincipal,
  { origin }: Call,
): Promise<number> {
  const ended = await deps.store.sessions.endOfUser(userId, { allBut }, deps.now(), (ids) =>
    ids.map((sessionId) => audit({ type: 'session_revoked', userId, sessionId, origin })),
  );
  if (ended > 0) await deps.changeFeed.catchUp();
  return ended;
}
