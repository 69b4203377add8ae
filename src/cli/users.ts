// `users`: what administrators do over AdminService, for operators; and the first administrator.
import { deleteUser, disableUser, enableUser, endUserSessions, requireNewPassword } from '../admin/administer-user.ts';
import { createUser } from '../admin/create-user.ts';
import { getUser } from '../admin/get-user.ts';
import { grantRole } from '../admin/grant-role.ts';
import { revokeRole } from '../admin/revoke-role.ts';
import type { UserRecord } from '../store/user-records.ts';
import { assertRole, type Operator } from './operator.ts';
import type { Output, Row } from './output.ts';
import { parseTime } from './parse-time.ts';

export type UsersOptions = { reason: string; until: string; name: string; role: string };

/** By id, or by address. */
function whoIs(user: string) {
  return user.includes('@') ? { email: user } : { userId: user };
}

export async function showUser({ deps }: Operator, user: string, output: Output): Promise<void> {
  output.record(rowOf(await getUser(deps, whoIs(user))));
}

export async function addUser({ deps, actor, call }: Operator, email: string, options: UsersOptions, output: Output) {
  const { name: fullName, role, reason, until } = options;
  const expiresAt = parseTime('--until', until);
  await assertRole(deps, role);
  const userId = await createUser(deps, { actor, email, fullName, roles: [], reason }, call);
  const grant = { actor, userId, serviceAccountId: '', role, reason, expiresAt };
  if (role !== '') await grantRole(deps, grant, call);
  output.say(`${email} has an account, and a mail with the link to set a password`);
  output.record(rowOf(await getUser(deps, { userId })));
}

type Work = (operator: Operator, userId: string, options: UsersOptions) => Promise<string>;

/** By the word of the command; each gives the sentence for what it has done. */
export const USER_WORK: Record<string, Work> = {
  async disable({ deps, actor, call }, userId, { reason }) {
    await disableUser(deps, { actor, userId, reason }, call);
    return 'is disabled';
  },
  async enable({ deps, actor, call }, userId, { reason }) {
    await enableUser(deps, { actor, userId, reason }, call);
    return 'may sign in';
  },
  async delete({ deps, actor, call }, userId, { reason }) {
    await deleteUser(deps, { actor, userId, reason }, call);
    return 'is deleted';
  },
  async 'require-new-password'({ deps, actor, call }, userId, { reason }) {
    await requireNewPassword(deps, { actor, userId, reason }, call);
    return 'gets a mail with the link to set a new password';
  },
  async 'end-sessions'({ deps, actor, call }, userId, { reason }) {
    return `had ${await endUserSessions(deps, { actor, userId, reason }, call)} sessions, which have ended`;
  },
  async grant({ deps, actor, call }, userId, { reason, role, until }) {
    const grant = { actor, userId, serviceAccountId: '', role, reason, expiresAt: parseTime('--until', until) };
    await grantRole(deps, grant, call);
    return `holds ${role}${until === '' ? '' : ` until ${until}`}`;
  },
  async revoke({ deps, actor, call }, userId, { reason, role }) {
    await revokeRole(deps, { actor, userId, serviceAccountId: '', role, reason }, call);
    return `does not hold ${role} any more`;
  },
};

export async function workOnUser(
  operator: Operator,
  work: Work,
  user: string,
  options: UsersOptions,
  output: Output,
): Promise<void> {
  const { user: found } = await getUser(operator.deps, whoIs(user));
  output.say(`${found.email} ${await work(operator, found.id, options)}`);
}

function rowOf({ user, disabledAt, hasPassword, sessions, grants, providers }: UserRecord): Row {
  const { id, email, fullName, emailVerified, roles, createdAt } = user;
  const granted = grants.map(({ role, grantedBy, expiresAt }) => {
    const by = grantedBy === '' ? '' : ` by ${grantedBy}`;
    return `${role}${by}${expiresAt ? ` until ${expiresAt.toISOString()}` : ''}`;
  });
  return {
    id,
    email,
    name: fullName,
    email_verified: emailVerified,
    created_at: createdAt,
    disabled_at: disabledAt,
    has_password: hasPassword,
    sessions,
    providers,
    roles,
    granted,
  };
}
