import type { Deps } from '../deps.ts';
import { accountHashes } from '../domain/account-hash.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import type { AuditType } from '../domain/audit-event-types.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect, mail } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { User } from '../domain/user.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { UserChange } from '../store/user-records.ts';
import { assertMayAdminister } from './authorize-admin.ts';

export type AdministerInput = { actor: Actor; userId: string; reason: string };

type AdministerDeps = Pick<Deps, 'store' | 'revocationFeed' | 'reauthenticationSeconds' | 'now'>;

const AUDITED_AS: Record<UserChange, AuditType> = {
  disable: 'user_disabled',
  enable: 'user_enabled',
  delete: 'user_deleted',
  require_new_password: 'new_password_required',
  end_sessions: 'sessions_ended',
};

export async function disableUser(deps: AdministerDeps, input: AdministerInput, call: Call): Promise<void> {
  await administer(deps, 'disable', input, call);
}

export async function enableUser(deps: AdministerDeps, input: AdministerInput, call: Call): Promise<void> {
  await administer(deps, 'enable', input, call);
}

/** Without `knownNetworks` the known networks expire by themselves, 30 days after their last sign-in. */
export async function deleteUser(
  deps: AdministerDeps & Partial<Pick<Deps, 'knownNetworks' | 'purposeKeys'>>,
  input: AdministerInput,
  call: Call,
): Promise<void> {
  let accounts: string[] = [];
  await administer(deps, 'delete', input, call, ({ id, email }) => {
    if (deps.purposeKeys) accounts = accountHashes(email, deps.purposeKeys.accountHash);
    return [mail({ template: 'account-deleted', userId: id, email })];
  });
  await Promise.all(accounts.map((account) => deps.knownNetworks?.forget(account, { allBut: null })));
}

/** Sends an e-mail with the link to set a new password. */
export async function requireNewPassword(deps: AdministerDeps, input: AdministerInput, call: Call): Promise<void> {
  await administer(deps, 'require_new_password', input, call, ({ email }) => [
    mail({ template: 'password-reset', email, cause: 'password-void' }),
  ]);
}

export async function endUserSessions(deps: AdministerDeps, input: AdministerInput, call: Call): Promise<number> {
  return (await administer(deps, 'end_sessions', input, call)).before.sessions;
}

/** These changes restore access or cannot be undone. */
const REAUTHENTICATED: UserChange[] = ['enable', 'delete'];

/** @throws AuthError USER_NOT_FOUND or GRANT_NOT_ALLOWED */
async function administer(
  { store, revocationFeed, reauthenticationSeconds, now }: AdministerDeps,
  change: UserChange,
  input: AdministerInput,
  { origin }: Call,
  mails: (user: User) => Effect[] = () => [],
) {
  const { user_id: userId, reason } = parseFields({
    user_id: () => parseUuid(input.userId),
    reason: () => parseReason(input.reason),
  });
  const event = { type: AUDITED_AS[change], actor: actorName(input.actor), userId, detail: reason, origin };
  const changed = await store.userRecords.change(userId, change, {
    actor: REAUTHENTICATED.includes(change)
      ? requireReauthentication(input.actor, reauthenticationSeconds)
      : input.actor,
    at: now(),
    decide: assertMayAdminister,
    effects: (user, before, after) => [audit({ ...event, before, after }), ...mails(user)],
  });
  if (!changed) throw new AuthError('USER_NOT_FOUND');
  await revocationFeed.catchUp();
  return changed;
}
