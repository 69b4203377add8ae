import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseRefreshToken } from '../domain/refresh-token.ts';
import { noteForLog } from '../process/log-context.ts';

export type LogoutInput = { refreshToken: string };

/**
 * Accepts replaced and unknown tokens too, because ending a session early does no harm.
 * @throws AuthError INVALID_ARGUMENT without a token
 */
export async function logout(
  deps: Pick<Deps, 'store' | 'revocationFeed' | 'purposeKeys' | 'now'>,
  input: LogoutInput,
  { origin, signal }: Call,
): Promise<void> {
  parseFields({ refresh_token: () => parseNonEmpty(input.refreshToken) });
  const token = parseRefreshToken(input.refreshToken, deps.purposeKeys.refreshTokens);
  const session = token && (await deps.store.sessions.byId(token.sessionId, signal));
  if (!session) return;
  const { sessionId, user } = session;
  noteForLog({ user_id: user.id, session_id: sessionId });
  await deps.store.sessions.end(sessionId, 'logged_out', {
    at: deps.now(),
    effects: [audit({ type: 'logged_out', userId: user.id, sessionId, origin })],
  });
  await deps.revocationFeed.catchUp();
}

/** A client that signs out without a token must not believe that it has succeeded. */
function parseNonEmpty(text: string): string {
  if (text === '') throw new InvalidValue('is required');
  return text;
}
