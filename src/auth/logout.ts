import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseRefreshToken } from '../domain/refresh-token.ts';

export type LogoutInput = { refreshToken: string };

/**
 * Any token of the session will do: to end a session early harms nobody. Where there is none, there is nothing to do.
 * @throws AuthError INVALID_ARGUMENT without one
 */
export async function logout(
  deps: Pick<Deps, 'store' | 'revocationFeed' | 'purposeKeys' | 'now'>,
  input: LogoutInput,
  { origin, signal }: Call,
): Promise<void> {
  parseFields({ refresh_token: () => parseSomething(input.refreshToken) });
  const token = parseRefreshToken(input.refreshToken, deps.purposeKeys.refreshTokens);
  const session = token && (await deps.store.sessions.byId(token.sessionId, signal));
  if (!session) return;
  const { sessionId, user } = session;
  await deps.store.sessions.end(sessionId, deps.now(), [
    audit({ type: 'logged_out', userId: user.id, sessionId, origin }),
  ]);
  await deps.revocationFeed.catchUp();
}

/** Who means to sign out and names nothing must not believe that it is done. */
function parseSomething(text: string): string {
  if (text === '') throw new InvalidValue('is required');
  return text;
}
