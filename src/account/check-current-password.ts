import { comparePassword } from '../auth/compare-password.ts';
import { type Attempt, type Permit, throttle } from '../auth/throttle.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parsePresentedPassword } from '../domain/password.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { Credentials } from '../store/users.ts';

export type CheckPasswordDeps = Pick<Deps, 'store' | 'limiter' | 'hasher' | 'onUnreadableHash' | 'now'>;

type Given = {
  credentials: Credentials;
  currentPassword: string;
  /** What it counts as, where that is more than an attempt at the password. */
  attempts?: Attempt[];
};

/**
 * Compares the password of a signed-in user, a few times in a quarter of an hour.
 * @returns the attempt, for a caller that counts failures alone to take back
 * @throws AuthError PASSWORD_WRONG
 */
export async function checkCurrentPassword(
  deps: CheckPasswordDeps,
  { userId, sessionId }: Pick<UserCaller, 'userId' | 'sessionId'>,
  { credentials, currentPassword, attempts = [{ limit: 'CHANGE_PASSWORD_USER', key: userId }] }: Given,
  call: Call,
): Promise<Permit> {
  const { current_password: password } = parseFields({
    current_password: () => parsePresentedPassword(currentPassword),
  });
  const permit = await throttle(deps, attempts, { userId, sessionId }, call);
  const outcome = await permit.unlessItThrows(() => comparePassword(deps, credentials, password, call.signal));
  if (outcome === 'match') return permit;
  await deps.store.outbox.write(deps.now(), [
    audit({ type: 'reauthentication_failed', userId, sessionId, origin: call.origin }),
  ]);
  throw new AuthError('PASSWORD_WRONG');
}
