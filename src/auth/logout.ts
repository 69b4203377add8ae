import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { openRefreshToken } from './open-refresh-token.ts';

export type LogoutInput = { refreshToken: string };

/**
 * Any token of the session will do: to end a session early harms nobody (RFC 7009 section 2.2).
 * @throws AuthError REFRESH_TOKEN_INVALID
 */
export async function logout(
  deps: Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now'>,
  input: LogoutInput,
  call: Call,
): Promise<void> {
  const token = await openRefreshToken(deps, input.refreshToken, call);
  const session = await deps.store.sessions.byId(token.sessionId, call.signal);
  if (!session) throw new AuthError('REFRESH_TOKEN_INVALID');

  const { sessionId, user } = session;
  const loggedOut = audit({ type: 'logged_out', userId: user.id, sessionId, origin: call.origin });
  await deps.store.sessions.end(sessionId, deps.now(), [loggedOut]);
}
