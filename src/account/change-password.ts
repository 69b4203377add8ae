import { comparePassword } from '../auth/compare-password.ts';
import { refuseBreached } from '../auth/refuse-breached.ts';
import { type Attempt, throttle } from '../auth/throttle.ts';
import type { Deps } from '../deps.ts';
import { accountHashes, mailboxHash } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { networkOf } from '../domain/networks.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { type Password, type PasswordPolicy, parseNewPassword, parsePresentedPassword } from '../domain/password.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import type { Credentials } from '../store/users.ts';

export type ChangePasswordInput = { principal: UserPrincipal; currentPassword: string; newPassword: string };

/** @throws AuthError PASSWORD_WRONG when the current password is wrong, or was changed meanwhile */
export async function changePassword(
  deps: Pick<
    Deps,
    | 'store'
    | 'changeFeed'
    | 'limiter'
    | 'hasher'
    | 'onUnreadableHash'
    | 'passwordPolicy'
    | 'isBreached'
    | 'purposeKeys'
    | 'now'
  >,
  input: ChangePasswordInput,
  call: Call,
): Promise<void> {
  const { store, hasher } = deps;
  const { userId, sessionId } = input.principal;
  const found = await store.users.credentialsById(userId, call.signal);
  if (!found) throw new AuthError('TOKEN_REVOKED');
  const { current_password: current, new_password: next } = parseFields({
    current_password: () => parsePresentedPassword(input.currentPassword),
    new_password: () => parseOtherPassword(input, deps.passwordPolicy, [found.user.email, found.user.fullName]),
  });
  const permit = await throttle(deps, changeAttempts(deps, found.user), { userId, sessionId }, call);
  const outcome = await permit.unlessItThrows(() => comparePassword(deps, found, current, call.signal));
  if (outcome !== 'match') throw new AuthError('PASSWORD_WRONG');

  await refuseBreached(deps, 'new_password', next);
  const passwordHash = await hasher.hash(next, call.signal);
  const change = { userId, passwordEpoch: found.passwordEpoch, passwordHash, keepSessionId: sessionId };
  const changed = await store.users.changePassword(change, deps.now(), [
    audit({ type: 'password_changed', userId, sessionId, origin: call.origin }),
    mail({ template: 'password-changed', userId, email: found.user.email }),
  ]);
  if (!changed) throw new AuthError('PASSWORD_WRONG');
  const network = networkOf(call.origin.address);
  const accounts = accountHashes(found.user.email, deps.purposeKeys.accountHash);
  await Promise.all([
    deps.changeFeed.catchUp(),
    ...accounts.map((account) => deps.limiter.forgetNetworks(account, { allBut: network })),
  ]);
}

/** The notice of a success goes to the address, which is a stranger's choice until it is verified. */
function changeAttempts(
  { purposeKeys }: Pick<Deps, 'purposeKeys'>,
  { id, email, emailVerified }: Credentials['user'],
): Attempt[] {
  const attempts: Attempt[] = [{ limit: 'CHANGE_PASSWORD_USER', key: id }];
  if (!emailVerified) attempts.push({ limit: 'NOTICE_ACCOUNT', key: mailboxHash(email, purposeKeys.accountHash) });
  return attempts;
}

function parseOtherPassword(input: ChangePasswordInput, policy: PasswordPolicy, context: string[]): Password {
  if (input.newPassword === input.currentPassword)
    throw new InvalidValue('must be another one than the current password');
  return parseNewPassword(input.newPassword, policy, context);
}
