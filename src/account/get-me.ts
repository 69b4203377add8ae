import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { User } from '../domain/user.ts';

/** The principal shows the state of the account when the token was issued. */
export async function getMe(deps: Pick<Deps, 'store'>, { userId }: UserCaller, { signal }: Call): Promise<User> {
  const user = await deps.store.users.byId(userId, signal);
  if (!user) throw new AuthError('TOKEN_REVOKED');
  return user;
}
