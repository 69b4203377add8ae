import type { Attempt } from '../auth/throttle.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';
import { isReauthenticated } from '../domain/reauthentication.ts';
import type { Credentials } from '../store/users.ts';
import { type CheckPasswordDeps, checkCurrentPassword } from './check-current-password.ts';

export type ReauthenticationDeps = CheckPasswordDeps & Pick<Deps, 'reauthenticationSeconds'>;

/**
 * Stands before every change that a thief of an access token must not be able to make.
 * @param currentPassword empty when the session was re-authenticated before
 * @param attempts that the password counts as, where not as one of the user's
 * @throws AuthError REAUTHENTICATION_REQUIRED, PASSWORD_WRONG, or TOKEN_REVOKED for a session that has ended
 */
export async function assertReauthenticated(
  deps: ReauthenticationDeps,
  principal: UserCaller,
  currentPassword: string,
  call: Call,
  attempts?: Attempt[],
): Promise<Credentials> {
  const { userId, sessionId, refreshCounter } = principal;
  const found = await deps.store.users.credentialsById(userId, call.signal);
  if (!found) throw new AuthError('TOKEN_REVOKED');
  if (currentPassword !== '') {
    const given = { credentials: found, currentPassword, ...(attempts && { attempts }) };
    const permit = await checkCurrentPassword(deps, principal, given, call);
    await permit.giveBack();
    return found;
  }
  const authentication = await deps.store.sessions.authenticationOf(userId, sessionId, call.signal);
  if (!authentication) throw new AuthError('TOKEN_REVOKED');
  if (!isReauthenticated(authentication, refreshCounter, deps.now(), deps.reauthenticationSeconds)) {
    throw new AuthError('REAUTHENTICATION_REQUIRED');
  }
  return found;
}
