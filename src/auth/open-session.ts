import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { Grant } from '../store/sessions.ts';
import type { Credentials } from '../store/users.ts';

/**
 * Null when the account changed since its credentials were read.
 * @param identityId with which they sign in; null for a password
 */
export async function openSession(
  deps: Pick<Deps, 'store' | 'tokenSettings' | 'now' | 'newId'>,
  { passwordEpoch, passwordHash: _, ...holder }: Credentials,
  account: string,
  identityId: string | null,
  { origin }: Call,
): Promise<Grant | null> {
  const { user } = holder;
  const { sessionIdleSeconds, sessionMaxSeconds, maxSessionsPerUser } = deps.tokenSettings;
  const now = deps.now();
  const sessionId = deps.newId();
  const endsBy = new Date(now.getTime() + sessionMaxSeconds * 1000);
  const expiresAt = new Date(now.getTime() + Math.min(sessionIdleSeconds, sessionMaxSeconds) * 1000);
  const succeeded = audit({ type: 'login_succeeded', userId: user.id, sessionId, account, origin });
  const place = { address: origin.address, userAgent: origin.userAgent };
  const session = { id: sessionId, userId: user.id, passwordEpoch, expiresAt, endsBy, place, identityId };
  const surplus = (id: string) =>
    audit({ type: 'session_revoked', userId: user.id, sessionId: id, detail: 'too many sessions', origin });
  const opened = await deps.store.sessions.open(session, maxSessionsPerUser, now, (endedIds) => [
    succeeded,
    ...endedIds.map(surplus),
  ]);
  return opened ? { sessionId, counter: 1, expiresAt, ...holder } : null;
}
