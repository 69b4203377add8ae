import type { Deps } from '../deps.ts';
import type { PresentedPassword } from '../domain/password.ts';
import type { Outcome } from '../passwords/hash-work.ts';
import type { Credentials } from '../store/users.ts';

/**
 * Takes the same time for every outcome except a match. Operators receive a report of an unreadable hash, because the
 * owner cannot sign in.
 * @param credentials null when there is no account
 */
export async function comparePassword(
  { hasher, onUnreadableHash }: Pick<Deps, 'hasher' | 'onUnreadableHash'>,
  credentials: Credentials | null,
  password: PresentedPassword,
  signal: AbortSignal,
): Promise<Outcome> {
  const outcome = await hasher.verify(credentials?.passwordHash ?? null, password, signal);
  if (outcome === 'unreadable' && credentials) onUnreadableHash(credentials.user.id);
  return outcome;
}
