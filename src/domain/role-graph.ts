// What roles imply, and who may grant them.

/** What is defined of one role. */
export type RoleDefinition = {
  name: string;
  description: string;
  /** Directly; what those imply comes with them. */
  implies: string[];
  /** The role that one must hold to grant, revoke or redefine this one. */
  granter: string;
};

/** By name. */
export type RoleGraph = ReadonlyMap<string, Pick<RoleDefinition, 'implies' | 'granter'>>;

/** The role and all that it implies; a role that is not defined implies nothing. */
function closureOf(graph: RoleGraph, role: string): Set<string> {
  const found = new Set([role]);
  for (const one of found) for (const implied of graph.get(one)?.implies ?? []) found.add(implied);
  return found;
}

/** Whether what a role would imply implies it. */
export function wouldCircle(graph: RoleGraph, role: string, implies: string[]): boolean {
  return implies.some((implied) => closureOf(graph, implied).has(role));
}

/**
 * Who gives a role gives all that it implies, so one must be a granter of each: a harmless role that comes to imply a mighty one
 * is not any more for those to give who could give the harmless one.
 */
export function mayGrant(graph: RoleGraph, actorRoles: readonly string[], role: string): boolean {
  return [...closureOf(graph, role)].every((one) => actorRoles.includes(graph.get(one)?.granter ?? ''));
}

/** Whoever defines a role gives what it comes to imply to all who hold it, and takes away what it does not imply any more. */
export function mayDefine(graph: RoleGraph, actorRoles: readonly string[], next: RoleDefinition): boolean {
  const after = new Map(graph).set(next.name, next);
  const mayRedefine = !graph.has(next.name) || mayGrant(graph, actorRoles, next.name);
  return mayRedefine && mayGrant(after, actorRoles, next.name);
}
