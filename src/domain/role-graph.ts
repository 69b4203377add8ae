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
export function closureOf(graph: RoleGraph, role: string): Set<string> {
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

/**
 * Whoever defines a role gives what it comes to imply to all who hold it, and takes away what it does not imply any more. And it
 * must stay for all those to give who could give it: who may give a role is for operators to change, or else one administrator
 * could make all the others powerless.
 */
export function mayDefine(graph: RoleGraph, actorRoles: readonly string[], next: RoleDefinition): boolean {
  const after = new Map(graph).set(next.name, next);
  const before = graph.get(next.name);
  if (!mayGrant(after, actorRoles, next.name)) return false;
  if (!before) return true;
  const granterRoles = [...closureOf(graph, before.granter)];
  return (
    mayGrant(graph, actorRoles, next.name) &&
    next.granter === before.granter &&
    next.implies.every((role) => before.implies.includes(role) || mayGrant(after, granterRoles, role))
  );
}

/** Of a token, which has room for so many names and no more. */
const MAX_ROLES_BYTES = 1_500;

export function fitsIntoToken(roles: Iterable<string>): boolean {
  return Buffer.byteLength(JSON.stringify([...new Set(roles)])) <= MAX_ROLES_BYTES;
}

/** Whether what each role comes to amount to still fits. */
export function wouldFit(graph: RoleGraph, next: RoleDefinition): boolean {
  const after = new Map(graph).set(next.name, next);
  return [...after.keys()].every((name) => fitsIntoToken(closureOf(after, name)));
}
