// The one rule that decides whether a caller satisfies a requirement. Every endpoint and the client library use it.
import type { Principal, TokenPrincipal } from './principal.ts';

/** The properties of a caller that a requirement can refer to. */
export type Subject = { kind: (Principal | TokenPrincipal)['kind']; roles: readonly string[] };

export type Requirement = {
  /** Any kind when missing. */
  kind?: Subject['kind'];
  /** Any role when missing or empty. */
  role?: string;
};

export function meets({ kind, role = '' }: Requirement, subject: Subject): boolean {
  return (kind === undefined || subject.kind === kind) && (role === '' || subject.roles.includes(role));
}

/** Whether a token was issued for an audience. Separate from `meets`: it is decided before the revocation status is read. */
export function isForAudience(audiences: readonly string[], audience: string): boolean {
  return audiences.includes(audience);
}
