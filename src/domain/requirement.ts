// The one rule for requirements, which every endpoint and the client library use.
import type { Principal, TokenPrincipal } from './principal.ts';

export type Subject = { kind: (Principal | TokenPrincipal)['kind']; roles: readonly string[] };

export type Requirement = {
  kind?: Subject['kind'];
  /** Any role when empty. */
  role?: string;
};

export function meets({ kind, role = '' }: Requirement, subject: Subject): boolean {
  return (kind === undefined || subject.kind === kind) && (role === '' || subject.roles.includes(role));
}

/** Separate from `meets`: it is decided before the revocation status is read. */
export function isForAudience(audiences: readonly string[], audience: string): boolean {
  return audiences.includes(audience);
}
