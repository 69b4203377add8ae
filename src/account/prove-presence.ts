import { comparePassword } from '../auth/compare-password.ts';
import { throttle } from '../auth/throttle.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parsePresentedPassword } from '../domain/password.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import type { Credentials } from '../store/users.ts';

export type PresenceDeps = Pick<
  Deps,
  'store' | 'limiter' | 'hasher' | 'onUnreadableHash' | 'recentSignInSeconds' | 'now'
>;

/**
 * Before what a thief of an access token must not be able to do: the owner is there when they give the current password, or
 * have signed in just now.
 * @param currentPassword empty when they rely on their sign-in
 * @throws AuthError RECENT_SIGN_IN_REQUIRED or PASSWORD_WRONG
 */
export async function provePresence(
  deps: PresenceDeps,
  { userId, sessionId }: UserPrincipal,
  currentPassword: string,
  call: Call,
): Promise<Credentials> {
  const found = await deps.store.users.credentialsById(userId, call.signal);
  if (!found) throw new AuthError('TOKEN_REVOKED');
  if (currentPassword === '') {
    const startedAt = await deps.store.sessions.startedAt(sessionId, call.signal);
    const isRecent = startedAt && deps.now().getTime() - startedAt.getTime() <= deps.recentSignInSeconds * 1000;
    if (!isRecent) throw new AuthError('RECENT_SIGN_IN_REQUIRED');
    return found;
  }
  const { current_password: password } = parseFields({
    current_password: () => parsePresentedPassword(currentPassword),
  });
  const permit = await throttle(deps, [{ limit: 'CHANGE_PASSWORD_USER', key: userId }], { userId, sessionId }, call);
  const outcome = await permit.unlessItThrows(() => comparePassword(deps, found, password, call.signal));
  if (outcome !== 'match') throw new AuthError('PASSWORD_WRONG');
  await permit.giveBack();
  return found;
}
