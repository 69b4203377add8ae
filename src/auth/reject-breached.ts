import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Password } from '../domain/password.ts';

/** @throws AuthError INVALID_ARGUMENT for a new password that is known from a breach */
export async function refuseBreached(
  { isBreached }: Pick<Deps, 'isBreached'>,
  field: string,
  password: Password,
): Promise<void> {
  if (!(await isBreached(password))) return;
  const description = 'is known from a breach of another site, so that attackers try it: choose another one';
  throw new AuthError('INVALID_ARGUMENT', { violations: [{ field, description }] });
}
