import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect, mail } from '../domain/effect.ts';
import { parseMailedToken, VERIFICATION_TOKEN } from '../domain/mailed-token.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parsePresentedPassword } from '../domain/password.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import { isRegistrationBinding } from '../domain/registration-binding.ts';
import { isMatch } from '../passwords/hash-work.ts';
import { noteForLog } from '../process/log-context.ts';
import type { EmailVerification } from '../store/email-verifications.ts';
import { comparePassword } from './compare-password.ts';
import { enforceLimits } from './enforce-limits.ts';
import { rejectMailedToken } from './reject-mailed-token.ts';

/** One of the last three is required: the reader of the e-mail can be another person than the owner of the account. */
export type VerifyEmailInput = {
  verificationToken: string;
  caller: UserPrincipal | null;
  password: string;
  binding: string;
};

type VerifyEmailDeps = Pick<
  Deps,
  'store' | 'revocationFeed' | 'limiter' | 'hasher' | 'onUnreadableHash' | 'purposeKeys' | 'now'
>;

/**
 * Only success uses the token up.
 * @throws AuthError VERIFICATION_OWNER_REQUIRED, or VERIFICATION_TOKEN_INVALID, also for an address that is taken
 */
export async function verifyEmail(deps: VerifyEmailDeps, input: VerifyEmailInput, call: Call): Promise<void> {
  const { store, now } = deps;
  const id = parseMailedToken(VERIFICATION_TOKEN, input.verificationToken, deps.purposeKeys.verificationTokens);
  if (!id) {
    await enforceLimits(deps, { attempts: [{ limit: 'VERIFY_EMAIL_NETWORK' }] }, call);
    throw new AuthError('VERIFICATION_TOKEN_INVALID');
  }
  const permit = await enforceLimits(deps, { attempts: [{ limit: 'VERIFY_EMAIL_TOKEN', key: id }] }, call);
  const verification = await store.emailVerifications.byId(id, now(), call.signal);
  if (!verification) return rejectMailedToken(deps, 'verification', id);
  noteForLog({ user_id: verification.userId });
  if (!(await permit.giveBackOnError(() => isOwner(deps, verification, input, call)))) {
    throw new AuthError('VERIFICATION_OWNER_REQUIRED');
  }
  const isDone = await store.emailVerifications.redeem(verification, now(), effectsOf(verification, call));
  if (!isDone) return rejectMailedToken(deps, 'verification', id);
  // Tokens carry the address.
  await deps.revocationFeed.catchUp();
}

async function isOwner(
  deps: VerifyEmailDeps,
  { userId, changeId }: EmailVerification,
  { caller, password, binding }: VerifyEmailInput,
  call: Call,
): Promise<boolean> {
  if (caller?.userId === userId) return true;
  // The binding proves who opened the account. A change of the address requires its current owner.
  if (changeId === null && isRegistrationBinding(binding, userId, deps.purposeKeys.registrations)) return true;
  if (password === '') return false;
  const presented = parseFields({ password: () => parsePresentedPassword(password) });
  const found = await deps.store.users.credentialsById(userId, call.signal);
  if (isMatch(await comparePassword(deps, found, presented.password, call.signal))) return true;
  const failed = audit({ type: 'reauthentication_failed', userId, detail: 'VerifyEmail', origin: call.origin });
  await deps.store.outbox.write(deps.now(), [failed]);
  return false;
}

function effectsOf({ userId, accountEmail, changeId }: EmailVerification, { origin }: Call): Effect[] {
  if (changeId === null) return [audit({ type: 'email_verified', userId, origin })];
  return [
    audit({ type: 'email_changed', userId, origin }),
    mail({ template: 'email-changed', userId, email: accountEmail, changeId }),
  ];
}
