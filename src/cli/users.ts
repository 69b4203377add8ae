import { deleteUser, disableUser, enableUser, endUserSessions, requireNewPassword } from '../admin/administer-user.ts';
import { createUser } from '../admin/create-user.ts';
import { getUser } from '../admin/get-user.ts';
import { grantRole } from '../admin/grant-role.ts';
import { revokeRole } from '../admin/revoke-role.ts';
import { assertRole } from './assert-role.ts';
import type { Command } from './command.ts';
import { USER_FACTOR_COMMANDS } from './factors.ts';
import { identify } from './identify.ts';
import { FORMATS } from './import/formats.ts';
import type { Operator } from './operator.ts';
import { operatorCommand, REASON } from './operator-command.ts';
import type { Output } from './output.ts';
import { parseTime } from './parse-time.ts';
import { USER } from './user-argument.ts';
import { USER_INQUIRIES, userRow } from './user-inquiries.ts';

type Account = { id: string; email: string };

const UNTIL = { until: { value: 'time', help: 'end of the grant, such as 2030-01-31T12:00:00Z' } } as const;

export const USER_COMMANDS: Command[] = [
  ...USER_INQUIRIES,
  operatorCommand({
    path: 'users create',
    summary: 'Creates an account and e-mails a link to set the password.',
    arguments: { email: 'e-mail address of the user' },
    options: {
      name: { value: 'name', isRequired: true, help: 'full name of the user' },
      role: { value: 'role', help: 'role to grant' },
      ...UNTIL,
      ...REASON,
    },
    run: addUser,
  }),
  operatorCommand({
    path: 'users grant',
    summary: 'Grants a role to a user.',
    arguments: { ...USER, role: 'name of the role' },
    options: { ...UNTIL, ...REASON },
    run: (operator, { args, options: { until, reason }, output }) =>
      changeUser(operator, args.user, output, async ({ id }) => {
        const expiresAt = parseTime('--until', until);
        const grant = { actor: operator.actor, userId: id, serviceAccountId: '', role: args.role, reason, expiresAt };
        await grantRole(operator.deps, grant, operator.call);
        return `now has the role ${args.role}${until === '' ? '' : ` until ${until}`}`;
      }),
  }),
  operatorCommand({
    path: 'users revoke',
    summary: 'Revokes a role from a user.',
    arguments: { ...USER, role: 'name of the role' },
    options: REASON,
    run: (operator, { args, options: { reason }, output }) =>
      changeUser(operator, args.user, output, async ({ id }) => {
        const grant = { actor: operator.actor, userId: id, serviceAccountId: '', role: args.role, reason };
        await revokeRole(operator.deps, grant, operator.call);
        return `no longer has the role ${args.role}`;
      }),
  }),
  changeCommand(
    'disable',
    'Ends the sessions of a user and rejects sign-ins until "users enable".',
    async (...input) => {
      await disableUser(...input);
      return 'is disabled';
    },
  ),
  changeCommand('enable', 'Allows a disabled user to sign in again.', async (...input) => {
    await enableUser(...input);
    return 'is enabled';
  }),
  changeCommand(
    'require-new-password',
    'Invalidates the password of a user and e-mails a link to set a new one.',
    async (...input) => {
      await requireNewPassword(...input);
      return 'receives an e-mail with the link to set a new password';
    },
  ),
  changeCommand('end-sessions', 'Ends every session of a user.', async (...input) => {
    return `had ${await endUserSessions(...input)} sessions, which have been ended`;
  }),
  ...USER_FACTOR_COMMANDS,
  changeCommand('delete', 'Deletes an account permanently.', async (...input) => {
    await deleteUser(...input);
    return 'is deleted';
  }),
  operatorCommand({
    path: 'users import',
    summary: 'Imports accounts from a file. A repeated import skips accounts that exist.',
    details:
      'Entries with an error are reported with their line and left out; the others are imported. The guide "Moving in" has the members of the formats and the mapping.',
    arguments: { file: 'path of the file' },
    options: {
      format: {
        value: 'name',
        help: `format of the file: ${Object.keys(FORMATS).join(', ')}; detected where its beginning shows it`,
      },
      encoding: {
        value: 'name',
        help: 'encoding of the file, such as latin1; otherwise UTF-8, or UTF-16 with its mark',
      },
      map: { value: 'file', help: 'JSON that names the members, roles and providers of the file' },
      'firebase-parameters': { value: 'file', help: "the Firebase project's password hash parameters" },
      report: { value: 'file', help: 'a new file for the result of each entry, with its user ID' },
      'dry-run': { help: 'check everything and write nothing' },
      ...REASON,
    },
    async run(operator, { args: { file }, options, output }) {
      const { importFile } = await import('./import/import-file.ts');
      await importFile(operator, { file, options, environment: operator.environment }, output);
    },
  }),
  operatorCommand({
    path: 'users export',
    summary:
      'Prints every account with its password hash, identities, roles and second factors, as "users import" reads them.',
    details:
      'One JSON object a line. The lines have secrets that open every account: run "umask 077" before you redirect them into a file, and delete it after the import. Recovery codes and grants that expire are left out. Requires the MASTER_KEY of the service.',
    options: REASON,
    async run(operator, { options: { reason }, output }) {
      const { exportUsers } = await import('./export-users.ts');
      await exportUsers(operator, reason, output);
    },
  }),
];

type Change = (
  deps: Operator['deps'],
  input: { actor: Operator['actor']; userId: string; reason: string },
  call: Operator['call'],
) => Promise<string>;

/** @param change returns the predicate of the sentence that is printed, such as `is deleted` */
function changeCommand(name: string, summary: string, change: Change): Command {
  return operatorCommand({
    path: `users ${name}`,
    summary,
    arguments: USER,
    options: REASON,
    run: (operator, { args, options: { reason }, output }) =>
      changeUser(operator, args.user, output, ({ id: userId }) =>
        change(operator.deps, { actor: operator.actor, userId, reason }, operator.call),
      ),
  });
}

async function changeUser(
  { deps }: Operator,
  user: string,
  output: Output,
  change: (account: Account) => Promise<string>,
): Promise<void> {
  const { user: account } = await getUser(deps, identify(user));
  output.message(`${account.email} ${await change(account)}`);
}

type NewUser = {
  args: { email: string };
  options: { name: string; role: string; until: string; reason: string };
  output: Output;
};

async function addUser({ deps, actor, call }: Operator, { args, options, output }: NewUser): Promise<void> {
  const { email } = args;
  const { name: fullName, role, reason, until } = options;
  const expiresAt = parseTime('--until', until);
  await assertRole(deps, role);
  const userId = await createUser(deps, { actor, email, fullName, roles: [], reason }, call);
  const grant = { actor, userId, serviceAccountId: '', role, reason, expiresAt };
  if (role !== '') await grantRole(deps, grant, call);
  output.message(`${email} has an account and receives an e-mail with the link to set a password`);
  output.record(userRow(await getUser(deps, { userId })));
}
