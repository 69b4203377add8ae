import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFullName } from '../domain/full-name.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { User } from '../domain/user.ts';
import { countChange } from './count-change.ts';

export type UpdateMeInput = { principal: UserCaller; fullName: string };

export async function updateMe(
  deps: Pick<Deps, 'store' | 'limiter' | 'now'>,
  input: UpdateMeInput,
  call: Call,
): Promise<User> {
  const { userId, sessionId } = input.principal;
  const { full_name: fullName } = parseFields({ full_name: () => parseFullName(input.fullName) });
  await countChange(deps, input.principal, call);
  const current = await deps.store.users.byId(userId, call.signal);
  if (current?.fullName === fullName) return current;
  const changed = audit({ type: 'profile_changed', userId, sessionId, origin: call.origin });
  const user = await deps.store.users.rename(userId, fullName, deps.now(), [changed]);
  if (!user) throw new AuthError('TOKEN_REVOKED');
  return user;
}
