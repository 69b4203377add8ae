import { type Denial, denialOf } from '../authorization/denials.ts';
import type { RoleRead, RoleReader } from '../authorization/role-reads.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { Reason } from '../domain/error-reason.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import { strengthParsers } from '../domain/required-strength.ts';
import { type Subject, unmetReason } from '../domain/requirement.ts';
import { parseRole } from '../domain/role.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { JudgeDeps } from './judge-credentials.ts';
import { verify } from './verify.ts';

/**
 * `credential` is examined when accessToken is empty. `reader` is the caller. `acr` and `maxAge` are as in VerifyInput, and
 * unset in a check by user id.
 */
export type CheckRoleInput = { role: string; credential: string; acr: string; maxAge: number } & (
  | { accessToken: string; acceptApiKeys: boolean }
  | { userId: string; reader: RoleReader }
);

export type RoleAnswer = { allowed: true } | { allowed: false; reason: Reason };

type CheckRoleDeps = JudgeDeps & Pick<Deps, 'store' | 'denials' | 'roleReads'>;

/** @throws AuthError as verify does, for a check by token */
export async function checkRole(deps: CheckRoleDeps, input: CheckRoleInput, call: Call): Promise<RoleAnswer> {
  if (!('userId' in input)) {
    const { role } = parseFields({ role: () => parseRole(input.role), ...strengthParsers(input) });
    const { principal } = await verify(deps, { ...input, audience: '' }, call);
    return answerFor(deps, principal, denialOf(principal, role), call);
  }
  const { role, user_id: userId } = parseFields({
    user_id: () => parseUuid(input.userId),
    role: () => parseRole(input.role),
    ...noStrengthParsers(input),
  });
  const holders = await deps.store.users.rolesOf([userId], call.signal);
  return answerForUser(deps, { userId, role, reader: input.reader }, holders.get(userId) ?? null, call);
}

/** The strength is that of a session, and a check by user id concerns none. */
export function noStrengthParsers({ acr, maxAge }: Pick<CheckRoleInput, 'acr' | 'maxAge'>) {
  const check = (isUnset: boolean) => () => isUnset || invalid('must not be set in a check by user_id');
  return { acr: check(acr === ''), max_age: check(maxAge === 0) };
}

export async function answerForUser(
  deps: Pick<Deps, 'denials' | 'roleReads'>,
  { userId, role, reader }: RoleRead,
  holder: { roles: string[]; disabled: boolean } | null,
  call: Call,
): Promise<RoleAnswer> {
  if (!holder) return { allowed: false, reason: 'USER_NOT_FOUND' };
  if (holder.disabled) return { allowed: false, reason: 'USER_DISABLED' };
  const user: Subject = { kind: 'user', roles: holder.roles };
  const answer = await answerFor(deps, user, { subject: `user:${userId}`, role }, call);
  if (answer.allowed) deps.roleReads.record({ userId, role, reader });
  return answer;
}

export async function answerFor(
  { denials }: Pick<Deps, 'denials'>,
  subject: Subject,
  asked: Denial,
  { origin }: Call,
): Promise<RoleAnswer> {
  const reason = unmetReason({ role: asked.role }, subject);
  if (reason === null) return { allowed: true };
  await denials.record(asked, origin);
  return { allowed: false, reason };
}
