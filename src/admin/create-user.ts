import type { Deps } from '../deps.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseRole, USER_ROLE } from '../domain/role.ts';
import { closureOf, fitsIntoToken } from '../domain/role-graph.ts';
import type { Authority } from '../store/authority.ts';
import { assertMayGrant } from './authorize-admin.ts';

export type CreateUserInput = { actor: Actor; email: string; fullName: string; roles: string[]; reason: string };

const MAX_ROLES = 32;

/** Returns the id. The owner receives a link to set the password. @throws AuthError EMAIL_TAKEN, and as grantRole does */
export async function createUser(
  { store, reauthenticationSeconds, now, newId }: Pick<Deps, 'store' | 'reauthenticationSeconds' | 'now' | 'newId'>,
  { actor: given, ...input }: CreateUserInput,
  { origin }: Call,
): Promise<string> {
  const { email, full_name, roles, reason } = parseFields({
    email: () => parseEmail(input.email),
    full_name: () => parseFullName(input.fullName),
    roles: () => parseRoles(input.roles),
    reason: () => parseReason(input.reason),
  });
  const actor = roles.length > 0 ? requireReauthentication(given, reauthenticationSeconds) : given;
  const id = newId();
  const event = { actor: actorName(actor), userId: id, detail: reason, origin, before: null };
  const created = [
    audit({ ...event, type: 'registered', after: { hasPassword: false, roles: [USER_ROLE] } }),
    ...roles.map((role) =>
      audit({ ...event, type: 'role_granted', target: `role:${role}`, after: { role, expiresAt: null } }),
    ),
    mail({ template: 'password-reset', email, cause: 'new-account' }),
  ];
  const account = { id, email, fullName: full_name, passwordHash: null };
  const by = { actor, roles, reason, decide: (authority: Authority) => assertMayGrantAll(authority, roles) };
  const user = await store.users.create(account, { at: now(), effects: { created, taken: [] }, by });
  if (!user) throw new AuthError('EMAIL_TAKEN');
  return id;
}

export function assertMayGrantAll(authority: Authority, roles: string[]): void {
  for (const role of roles) assertMayGrant(authority, role);
  const all = [USER_ROLE, ...roles].flatMap((role) => [...closureOf(authority.graph, role)]);
  if (!fitsIntoToken(all)) throw new AuthError('TOO_MANY_ROLES');
}

export function parseRoles(names: string[]): string[] {
  if (names.length > MAX_ROLES) throw new InvalidValue(`must be at most ${MAX_ROLES}`);
  return [...new Set(names.map(parseRole))].filter((name) => name !== USER_ROLE);
}
