import { type Attempt, enforceLimits } from '../auth/enforce-limits.ts';
import { mailAttempts } from '../auth/mail-attempts.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import { invalid, parseFields } from '../domain/parse-fields.ts';
import type { UserCaller } from '../domain/principal.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';
import { countChange } from './count-change.ts';
import { noticeAttempts } from './notice-attempts.ts';

export type ChangeEmailInput = { principal: UserCaller; newEmail: string; currentPassword: string };

/**
 * Takes effect when the owner of the new address confirms it. The response does not show whether that address has an
 * account. The old address receives a link that stops the change.
 */
export async function changeEmail(
  deps: ReauthenticationDeps & Pick<Deps, 'limiter' | 'purposeKeys' | 'newId'>,
  input: ChangeEmailInput,
  call: Call,
): Promise<void> {
  const { userId, sessionId } = input.principal;
  const { new_email: email } = parseFields({ new_email: () => parseEmail(input.newEmail) });
  await countChange(deps, input.principal, call);
  const { user, passwordEpoch, owner } = await assertReauthenticated(deps, input, call);
  parseFields({ new_email: () => (email === user.email ? invalid('is the address of this account') : email) });
  const attempts: Attempt[] = [
    { limit: 'CHANGE_EMAIL_USER', key: userId },
    ...mailAttempts('REQUEST_VERIFICATION_ACCOUNT', email, deps.purposeKeys, call),
    ...noticeAttempts(deps, user),
  ];
  await enforceLimits(deps, { attempts, userId, sessionId }, call);
  const changeId = deps.newId();
  const isRequested = await deps.store.emailChanges.create(changeId, owner, {
    at: deps.now(),
    effects: [
      audit({ type: 'email_change_requested', userId, sessionId, origin: call.origin }),
      mail({ template: 'email-change-requested', userId, email: user.email, changeId }),
      mail({ template: 'confirm-email-change', userId, email, accountEmail: user.email, passwordEpoch, changeId }),
    ],
  });
  if (!isRequested) throw new AuthError('TOKEN_REVOKED');
}
