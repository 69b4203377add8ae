import type { Deps } from '../deps.ts';
import type { Reason } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseRole } from '../domain/role.ts';
import { parseUuid } from '../domain/uuid.ts';
import { verify } from './verify.ts';

/** By token or by user id; `credential` is the token of the call itself, examined when neither is given. */
export type CheckRoleInput = { role: string; credential: string } & ({ accessToken: string } | { userId: string });

export type RoleAnswer = { allowed: true } | { allowed: false; reason: Reason };

/** @throws AuthError as verify, by token */
export async function checkRole(
  deps: Pick<Deps, 'verifier' | 'store'>,
  input: CheckRoleInput,
  call: Call,
): Promise<RoleAnswer> {
  if (!('userId' in input)) {
    const { role } = parseFields({ role: () => parseRole(input.role) });
    const { principal } = await verify(deps, { ...input, audience: '' }, call);
    return answerFor(principal.roles, role);
  }
  const { role, user_id: userId } = parseFields({
    user_id: () => parseUuid(input.userId),
    role: () => parseRole(input.role),
  });
  const found = await deps.store.users.byId(userId, call.signal);
  if (!found) return { allowed: false, reason: 'USER_NOT_FOUND' };
  if (found.disabled) return { allowed: false, reason: 'USER_DISABLED' };
  return answerFor(found.roles, role);
}

/** By the roles that somebody holds. */
export function answerFor(roles: string[], role: string): RoleAnswer {
  return roles.includes(role) ? { allowed: true } : { allowed: false, reason: 'ROLE_NOT_GRANTED' };
}
