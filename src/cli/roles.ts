import { defineRole } from '../admin/define-role.ts';
import { deleteRole } from '../admin/delete-role.ts';
import { listRoles } from '../admin/list-roles.ts';
import type { Command } from './command.ts';
import { operatorCommand, REASON } from './operator-command.ts';

export const ROLE_COMMANDS: Command[] = [
  operatorCommand({
    path: 'roles list',
    summary: 'Lists the roles and the roles that each implies.',
    async run({ deps }, { output }) {
      const roles = await listRoles(deps);
      output.rows(
        roles.map(({ name, implies, granter, description }) => ({ name, implies, granter, description })),
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
      ...REASON,
    },
    async run({ deps, actor, call }, { args: { role: name }, options, output }) {
      const { description, granter, reason } = options;
      const implies = options.implies.split(',').filter((implied) => implied !== '');
      await defineRole(deps, { actor, role: { name, description, implies, granter }, reason }, call);
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
