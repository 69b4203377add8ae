import { comparePassword } from '../auth/compare-password.ts';
import { type Attempt, enforceLimits, type Permit } from '../auth/enforce-limits.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parsePresentedPassword } from '../domain/password.ts';
import type { UserCaller } from '../domain/principal.ts';
import { isMatch } from '../passwords/hash-work.ts';
import type { Credentials } from '../store/users.ts';

export type CheckPasswordDeps = Pick<Deps, 'store' | 'limiter' | 'hasher' | 'onUnreadableHash' | 'now'>;

type PasswordCheck = {
  credentials: Credentials;
  currentPassword: string;
  /** By default the attempts of the user. */
  attempts?: Attempt[];
};

/** Returns the permit, so that a caller that counts only failures can give it back. @throws AuthError PASSWORD_WRONG */
export async function checkCurrentPassword(
  deps: CheckPasswordDeps,
  { userId, sessionId }: Pick<UserCaller, 'userId' | 'sessionId'>,
  { credentials, currentPassword, attempts = [{ limit: 'CHANGE_PASSWORD_USER', key: userId }] }: PasswordCheck,
  call: Call,
): Promise<Permit> {
  const { current_password: password } = parseFields({
    current_password: () => parsePresentedPassword(currentPassword),
  });
  const permit = await enforceLimits(deps, { attempts, userId, sessionId }, call);
  const outcome = await permit.giveBackOnError(() => comparePassword(deps, credentials, password, call.signal));
  if (isMatch(outcome)) return permit;
  await deps.store.outbox.write(deps.now(), [
    audit({ type: 'reauthentication_failed', userId, sessionId, origin: call.origin }),
  ]);
  throw new AuthError('PASSWORD_WRONG');
}
