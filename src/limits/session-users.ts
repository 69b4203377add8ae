/** Lets REFRESH_USER reject a refresh before anything is written. */
export type SessionUsers = {
  remember(sessionId: string, userId: string): void;
  /** Null when this process has not issued tokens of the session recently. */
  userOf(sessionId: string): string | null;
};

/** About 10 MB. */
const MAX_SESSIONS = 50_000;

export function createSessionUsers(maxSessions = MAX_SESSIONS): SessionUsers {
  const users = new Map<string, string>();
  return {
    remember(sessionId, userId) {
      users.delete(sessionId);
      users.set(sessionId, userId);
      if (users.size > maxSessions) users.delete(users.keys().next().value as string);
    },
    userOf: (sessionId) => users.get(sessionId) ?? null,
  };
}
