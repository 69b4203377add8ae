import type { Deps } from '../deps.ts';
import type { AudienceChoice } from '../domain/audience.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { noteForLog } from '../process/log-context.ts';
import type { Grant } from '../store/session-rows.ts';
import type { NewSession } from '../store/sessions.ts';
import type { Credentials } from '../store/users.ts';

type SignIn = {
  credentials: Credentials;
  account: string;
  /** Null for a password. */
  identity: (NonNullable<NewSession['identity']> & { provider: string }) | null;
  audiences: AudienceChoice;
};

/** Null when the account changed since its credentials were read. */
export async function openSession(
  deps: Pick<Deps, 'store' | 'tokenSettings' | 'now' | 'newId'>,
  { credentials, account, identity, audiences }: SignIn,
  { origin }: Call,
): Promise<Grant | null> {
  const { passwordEpoch, passwordHash: _, ...rest } = credentials;
  const { user } = rest;
  const { sessionIdleSeconds, sessionMaxSeconds, maxSessionsPerUser } = deps.tokenSettings;
  const now = deps.now();
  const sessionId = deps.newId();
  const endsBy = new Date(now.getTime() + sessionMaxSeconds * 1000);
  const expiresAt = new Date(now.getTime() + Math.min(sessionIdleSeconds, sessionMaxSeconds) * 1000);
  const succeeded = audit({
    ...{ type: 'login_succeeded', userId: user.id, sessionId, account, origin },
    ...(identity && { detail: identity.provider }),
  });
  const location = { address: origin.address, userAgent: origin.userAgent };
  const session = { id: sessionId, userId: user.id, passwordEpoch, expiresAt, endsBy, location, identity, audiences };
  const auditSurplus = (id: string) =>
    audit({ type: 'session_revoked', userId: user.id, sessionId: id, detail: 'too many sessions', origin });
  const opened = await deps.store.sessions.create(session, {
    maxLive: maxSessionsPerUser,
    at: now,
    effects: (endedIds) => [succeeded, ...endedIds.map(auditSurplus)],
  });
  if (opened) noteForLog({ user_id: user.id, session_id: sessionId });
  return opened ? { sessionId, counter: 1, expiresAt, audiences, ...rest } : null;
}
