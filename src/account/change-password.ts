import type { Attempt } from '../auth/enforce-limits.ts';
import { issueTokens } from '../auth/issue-tokens.ts';
import { rejectBreached } from '../auth/reject-breached.ts';
import type { Deps } from '../deps.ts';
import { accountHashes } from '../domain/account-hash.ts';
import { BY_PASSWORD } from '../domain/acr.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { networkOf } from '../domain/networks.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { type Password, type PasswordPolicy, parseNewPassword, parsePresentedPassword } from '../domain/password.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { Tokens } from '../domain/tokens.ts';
import { assertFactorUsed } from './assert-reauthenticated.ts';
import { type CheckPasswordDeps, checkCurrentPassword } from './check-current-password.ts';
import { noticeAttempts } from './notice-attempts.ts';

export type ChangePasswordInput = { principal: UserCaller; currentPassword: string; newPassword: string };

type ChangePasswordDeps = CheckPasswordDeps &
  Pick<
    Deps,
    | 'revocationFeed'
    | 'knownNetworks'
    | 'passwordPolicy'
    | 'isBreached'
    | 'signingKeys'
    | 'sessionUsers'
    | 'verifier'
    | 'purposeKeys'
    | 'tokenSettings'
    | 'reauthenticationSeconds'
    | 'newId'
  >;

/** @throws AuthError REAUTHENTICATION_REQUIRED, or PASSWORD_WRONG when the current password is wrong or has just been changed */
export async function changePassword(
  deps: ChangePasswordDeps,
  input: ChangePasswordInput,
  call: Call,
): Promise<Tokens> {
  const { store, hasher } = deps;
  const { userId, sessionId } = input.principal;
  const { address, userAgent } = call.origin;
  const found = await store.users.credentialsById(userId, call.signal);
  if (!found) throw new AuthError('TOKEN_REVOKED');
  const { new_password: newPassword } = parseFields({
    current_password: () => parsePresentedPassword(input.currentPassword),
    new_password: () => parseDifferentPassword(input, deps.passwordPolicy, [found.user.email, found.user.fullName]),
  });
  const usedFactor = await assertFactorUsed(deps, input.principal, call);
  const attempts: Attempt[] = [{ limit: 'CHANGE_PASSWORD_USER', key: userId }, ...noticeAttempts(deps, found.user)];
  const given = { credentials: found, currentPassword: input.currentPassword, attempts };
  await checkCurrentPassword(deps, input.principal, given, call);

  await rejectBreached(deps, 'new_password', newPassword);
  const passwordHash = await hasher.hash(newPassword, call.signal);
  const idleSeconds = deps.tokenSettings.sessionIdleSeconds;
  const grant = await store.users.changePassword(
    { userId, sessionId, passwordEpoch: found.passwordEpoch, usedFactor },
    {
      passwordHash,
      sessionId,
      idleSeconds,
      location: { address, userAgent },
      by: { ...BY_PASSWORD, keepsStepUp: usedFactor },
    },
    {
      at: deps.now(),
      effects: [
        audit({ type: 'password_changed', userId, sessionId, origin: call.origin }),
        mail({ template: 'password-changed', userId, email: found.user.email }),
      ],
    },
  );
  if (!grant) throw new AuthError('PASSWORD_WRONG');
  const accounts = accountHashes(found.user.email, deps.purposeKeys.accountHash);
  await Promise.all([
    deps.revocationFeed.catchUp(),
    ...accounts.map((account) => deps.knownNetworks.forget(account, { allBut: networkOf(address) })),
  ]);
  return issueTokens(deps, grant);
}

function parseDifferentPassword(input: ChangePasswordInput, policy: PasswordPolicy, context: string[]): Password {
  if (input.newPassword === input.currentPassword) throw new InvalidValue('must differ from the current password');
  return parseNewPassword(input.newPassword, policy, context);
}
