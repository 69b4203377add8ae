// The folder account owns the use cases of AccountService: changes that users make to their own account. It must not
// act on an account other than the caller's.
import type { Attempt } from '../auth/enforce-limits.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';
import { isReauthenticated } from '../domain/reauthentication.ts';
import type { ReauthenticatedOwner } from '../store/user-locks.ts';
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
 * Guards each change that the thief of an access token must not be able to make. An account with a factor must have
 * used it for a step-up of this session; its password alone does not suffice.
 * @throws AuthError REAUTHENTICATION_REQUIRED, PASSWORD_WRONG, or TOKEN_REVOKED for a session that has ended
 */
export async function assertReauthenticated(
  deps: ReauthenticationDeps,
  { principal, currentPassword, attempts }: ReauthenticationProof,
  call: Call,
): Promise<Credentials & { owner: ReauthenticatedOwner }> {
  const found = await deps.store.users.credentialsById(principal.userId, call.signal);
  if (!found) throw new AuthError('TOKEN_REVOKED');
  const { hasFactor, isRecent } = await reauthenticationOf(deps, principal, call);
  if (!isRecent && (hasFactor || currentPassword === '')) throw new AuthError('REAUTHENTICATION_REQUIRED');
  if (currentPassword !== '') {
    const given = { credentials: found, currentPassword, ...(attempts && { attempts }) };
    const permit = await checkCurrentPassword(deps, principal, given, call);
    await permit.giveBack();
  }
  const { userId, sessionId } = principal;
  return { ...found, owner: { userId, sessionId, passwordEpoch: found.passwordEpoch, usedFactor: hasFactor } };
}

/**
 * For a change that requires the current password in any case.
 * @returns whether the account has a factor, which was then used
 * @throws AuthError REAUTHENTICATION_REQUIRED, or TOKEN_REVOKED for a session that has ended
 */
export async function assertFactorUsed(
  deps: Pick<Deps, 'store' | 'reauthenticationSeconds' | 'now'>,
  principal: UserCaller,
  call: Call,
): Promise<boolean> {
  const { hasFactor, isRecent } = await reauthenticationOf(deps, principal, call);
  if (hasFactor && !isRecent) throw new AuthError('REAUTHENTICATION_REQUIRED');
  return hasFactor;
}

async function reauthenticationOf(
  { store, reauthenticationSeconds, now }: Pick<Deps, 'store' | 'reauthenticationSeconds' | 'now'>,
  { userId, sessionId, refreshCounter }: UserCaller,
  { signal }: Call,
): Promise<{ hasFactor: boolean; isRecent: boolean }> {
  const authentication = await store.sessions.authenticationOf(userId, sessionId, signal);
  if (!authentication) throw new AuthError('TOKEN_REVOKED');
  const isRecent = isReauthenticated(authentication, refreshCounter, now(), reauthenticationSeconds);
  return { hasFactor: authentication.hasFactor, isRecent };
}
