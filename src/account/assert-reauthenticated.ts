// The folder account owns the use cases of AccountService: changes that users make to their own account. It must not
// act on an account other than the caller's.
import type { Attempt } from '../auth/enforce-limits.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';
import { isReauthenticated } from '../domain/reauthentication.ts';
import type { Credentials } from '../store/users.ts';
import { type CheckPasswordDeps, checkCurrentPassword } from './check-current-password.ts';

type ReauthenticationProof = {
  principal: UserCaller;
  currentPassword: string;
  /** By default the attempts of the user. */
  attempts?: Attempt[];
};

export type ReauthenticationDeps = CheckPasswordDeps & Pick<Deps, 'reauthenticationSeconds'>;

/**
 * Guards each change that the thief of an access token must not be able to make.
 * @throws AuthError REAUTHENTICATION_REQUIRED, PASSWORD_WRONG, or TOKEN_REVOKED for a session that has ended
 */
export async function assertReauthenticated(
  deps: ReauthenticationDeps,
  { principal, currentPassword, attempts }: ReauthenticationProof,
  call: Call,
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
