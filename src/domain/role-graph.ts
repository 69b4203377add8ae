// Implied roles and the granter rule (docs/concepts/roles.md).
import type { Acr } from './acr.ts';

export type RoleDefinition = {
  name: string;
  description: string;
  implies: string[];
  /** An administrator must hold this role to grant, revoke or redefine the other. */
  granter: string;
  /** Tokens of weaker sessions lack the role. */
  requiredAcr: Acr;
};

export type RoleGraph = ReadonlyMap<string, Pick<RoleDefinition, 'implies' | 'granter' | 'requiredAcr'>>;

/** The role itself is included. An undefined role implies nothing. */
export function closureOf(graph: RoleGraph, role: string): Set<string> {
  const found = new Set([role]);
  for (const one of found) for (const implied of graph.get(one)?.implies ?? []) found.add(implied);
  return found;
}

export function wouldCircle(graph: RoleGraph, role: string, implies: string[]): boolean {
  return implies.some((implied) => closureOf(graph, implied).has(role));
}

/** The actor also grants every implied role, and must hold the granter of each. */
export function mayGrant(graph: RoleGraph, actorRoles: readonly string[], role: string): boolean {
  return [...closureOf(graph, role)].every((one) => actorRoles.includes(graph.get(one)?.granter ?? ''));
}

/**
 * A definition grants the newly implied roles to every holder of the role, and revokes the former ones. The granter
 * must stay the same, and every holder of the granter must still be able to grant the role. Otherwise one administrator
 * could lock out all others.
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

const MAX_ROLES_BYTES = 1_500;

export function fitsIntoToken(roles: Iterable<string>): boolean {
  return Buffer.byteLength(JSON.stringify([...new Set(roles)])) <= MAX_ROLES_BYTES;
}

export function wouldFit(graph: RoleGraph, next: RoleDefinition): boolean {
  const after = new Map(graph).set(next.name, next);
  return [...after.keys()].every((name) => fitsIntoToken(closureOf(after, name)));
}
