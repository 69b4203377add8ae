import type { Deps } from '../deps.ts';
import type { RoleDefinition } from '../domain/role-graph.ts';

export function listRoles({ store }: Pick<Deps, 'store'>): Promise<RoleDefinition[]> {
  return store.roles.all();
}
