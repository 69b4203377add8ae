import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Password } from '../domain/password.ts';

/** @throws AuthError INVALID_ARGUMENT for a new password that has appeared in a data breach */
export async function rejectBreached(
  { isBreached }: Pick<Deps, 'isBreached'>,
  field: string,
  password: Password,
): Promise<void> {
  if (!(await isBreached(password))) return;
  const description = 'has appeared in a data breach of another site; choose another password';
  throw new AuthError('INVALID_ARGUMENT', { violations: [{ field, description }] });
}
