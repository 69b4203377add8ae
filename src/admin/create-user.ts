import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseReason } from '../domain/reason.ts';
import { USER_ROLE } from '../domain/role.ts';

export type CreateUserInput = { actor: Actor; email: string; fullName: string; reason: string };

/**
 * An account without a password; its owner gets the link to set one. Returns its id.
 * @throws AuthError EMAIL_TAKEN
 */
export async function createUser(
  { store, now, newId }: Pick<Deps, 'store' | 'now' | 'newId'>,
  { actor, ...input }: CreateUserInput,
  { origin }: Call,
): Promise<string> {
  const { email, full_name, reason } = parseFields({
    email: () => parseEmail(input.email),
    full_name: () => parseFullName(input.fullName),
    reason: () => parseReason(input.reason),
  });
  const id = newId();
  const made = [
    audit({
      type: 'registered',
      actor: actorName(actor),
      userId: id,
      detail: reason,
      origin,
      before: null,
      after: { hasPassword: false, roles: [USER_ROLE] },
    }),
    mail({ template: 'password-reset', email }),
  ];
  const account = { id, email, fullName: full_name, passwordHash: null };
  const user = await store.users.create(account, now(), { made, taken: [] }, actor);
  if (!user) throw new AuthError('EMAIL_TAKEN');
  return id;
}
