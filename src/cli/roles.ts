import { defineRole } from '../admin/define-role.ts';
import { deleteRole } from '../admin/delete-role.ts';
import { listRoles } from '../admin/list-roles.ts';
import type { Command } from './command.ts';
import { operatorCommand, REASON } from './operator-command.ts';

export const ROLE_COMMANDS: Command[] = [
  operatorCommand({
    path: 'roles list',
    summary: 'Lists the roles, the roles that each implies, and the strength that each requires.',
    async run({ deps }, { output }) {
      const roles = await listRoles(deps);
      output.rows(
        roles.map(({ name, implies, granter, requiredAcr, description }) => ({
          ...{ name, implies, granter, required_acr: requiredAcr, description },
        })),
        'no roles',
      );
    },
  }),
  operatorCommand({
    path: 'roles define',
    summary: 'Creates a role or replaces its definition.',
    arguments: { role: 'name of the role' },
    options: {
      description: { value: 'text', help: 'meaning of the role' },
      implies: { value: 'roles', help: 'names of the roles that it implies, separated by commas' },
      granter: { value: 'role', help: 'role that allows its holders to grant this one (default: admin)' },
      'required-acr': {
        value: 'acr',
        help: 'strength that a session needs for the role: pwd, mfa or phr (default: as before, pwd for a new role)',
      },
      ...REASON,
    },
    async run({ deps, actor, call }, { args: { role: name }, options, output }) {
      const { description, granter, 'required-acr': requiredAcr, reason } = options;
      const implies = options.implies.split(',').filter((implied) => implied !== '');
      const role = { name, description, implies, granter, requiredAcr };
      await defineRole(deps, { actor, role, reason }, call);
      output.message(`${name} is defined`);
    },
  }),
  operatorCommand({
    path: 'roles delete',
    summary: 'Deletes a role that no account has and no other role implies.',
    arguments: { role: 'name of the role' },
    options: REASON,
    async run({ deps, actor, call }, { args: { role: name }, options: { reason }, output }) {
      await deleteRole(deps, { actor, name, reason }, call);
      output.message(`${name} is deleted`);
    },
  }),
];
