import type { Deps } from '../deps.ts';
import type { Reason } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseRole } from '../domain/role.ts';
import { parseUuid } from '../domain/uuid.ts';
import { verify } from './verify.ts';

/** By token or by user id; `credential` is the token of the call itself, examined when neither is given. */
export type CheckRoleInput = { role: string; credential: string } & (
  | { accessToken: string }
  // Only for callers who may ask about others; the server sees to that.
  | { userId: string }
);

export type RoleAnswer = { allowed: true } | { allowed: false; reason: Reason };

/** @throws AuthError as verify, by token */
export async function checkRole(
  deps: Pick<Deps, 'verifier' | 'store' | 'now'>,
  input: CheckRoleInput,
  call: Call,
): Promise<RoleAnswer> {
  const { role } = parseFields({ role: () => parseRole(input.role) });
  const [userId, answer] =
    'userId' in input ? await byUserId(deps, input.userId, role, call) : await byToken(deps, input, role, call);
  if (!answer.allowed) {
    const denied = audit({ type: 'permission_denied', userId, detail: `role ${role}`, origin: call.origin });
    await deps.store.outbox.write(deps.now(), [denied]);
  }
  return answer;
}

async function byToken(
  deps: Pick<Deps, 'verifier'>,
  { accessToken, credential }: { accessToken: string; credential: string },
  role: string,
  call: Call,
): Promise<[string, RoleAnswer]> {
  const { principal } = await verify(deps, { accessToken, credential, audience: '' }, call);
  return [principal.userId, answerFor(principal.roles, role)];
}

async function byUserId(
  { store }: Pick<Deps, 'store'>,
  id: string,
  role: string,
  { signal }: Call,
): Promise<[string, RoleAnswer]> {
  const { user_id: userId } = parseFields({ user_id: () => parseUuid(id) });
  const found = await store.users.credentialsById(userId, signal);
  if (!found) return [userId, { allowed: false, reason: 'USER_NOT_FOUND' }];
  if (found.disabled) return [userId, { allowed: false, reason: 'USER_DISABLED' }];
  return [userId, answerFor(found.user.roles, role)];
}

function answerFor(roles: string[], role: string): RoleAnswer {
  return roles.includes(role) ? { allowed: true } : { allowed: false, reason: 'ROLE_NOT_GRANTED' };
}
