// `roles`: what there is to grant.
import { defineRole } from '../admin/define-role.ts';
import { deleteRole } from '../admin/delete-role.ts';
import { listRoles } from '../admin/list-roles.ts';
import type { Operator } from './operator.ts';
import type { Output } from './output.ts';

export type RolesOptions = { description: string; implies: string[]; granter: string; reason: string };

export async function showRoles({ deps }: Operator, output: Output): Promise<void> {
  const roles = await listRoles(deps);
  output.rows(
    roles.map(({ name, implies, granter, description }) => ({ name, implies, granter, description })),
    'no roles',
  );
}

export async function setRole({ deps, actor, call }: Operator, name: string, options: RolesOptions, output: Output) {
  const { reason, ...rest } = options;
  await defineRole(deps, { actor, role: { name, ...rest }, reason }, call);
  output.say(`${name} is defined`);
}

export async function removeRole(operator: Operator, name: string, reason: string, output: Output): Promise<void> {
  const { deps, actor, call } = operator;
  await deleteRole(deps, { actor, name, reason }, call);
  output.say(`${name} is deleted`);
}
