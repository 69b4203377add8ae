import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { SessionSummary } from '../store/sessions.ts';

export type ListedSession = SessionSummary & { isCurrent: boolean };

export async function listSessions(
  { store, now }: Pick<Deps, 'store' | 'now'>,
  { userId, sessionId }: UserCaller,
  { signal }: Call,
): Promise<ListedSession[]> {
  const sessions = await store.sessions.ofUser(userId, now(), signal);
  return sessions.map((session) => ({ ...session, isCurrent: session.id === sessionId }));
}
