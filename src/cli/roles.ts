// `roles`: what there is to grant.
import { defineRole } from '../admin/define-role.ts';
import { deleteRole } from '../admin/delete-role.ts';
import { listRoles } from '../admin/list-roles.ts';
import type { Operator } from './operator.ts';
import type { Output } from './output.ts';

export type RolesOptions = { description: string; implies: string[]; granter: string };

export async function showRoles({ deps }: Operator, output: Output): Promise<void> {
  const roles = await listRoles(deps);
  output.rows(
    roles.map(({ name, implies, granter, description }) => ({ name, implies, granter, description })),
    'no roles',
  );
}

export async function setRole({ deps, actor, call }: Operator, name: string, options: RolesOptions, output: Output) {
  await defineRole(deps, { actor, role: { name, ...options } }, call);
  output.say(`${name} is defined`);
}

export async function removeRole({ deps, actor, call }: Operator, name: string, output: Output): Promise<void> {
  await deleteRole(deps, { actor, name }, call);
  output.say(`${name} is deleted`);
}
