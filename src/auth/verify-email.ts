import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect, mail } from '../domain/effect.ts';
import { parseMailedToken, VERIFICATION_TOKEN } from '../domain/mailed-token.ts';
import { networkOf } from '../domain/networks.ts';
import type { EmailVerification } from '../store/email-verifications.ts';
import { throttle } from './throttle.ts';

export type VerifyEmailInput = { verificationToken: string };

/** @throws AuthError VERIFICATION_TOKEN_INVALID, also when another account has got the address meanwhile */
export async function verifyEmail(
  deps: Pick<Deps, 'store' | 'changeFeed' | 'limiter' | 'purposeKeys' | 'now'>,
  input: VerifyEmailInput,
  call: Call,
): Promise<void> {
  const { store, now } = deps;
  const id = parseMailedToken(VERIFICATION_TOKEN, input.verificationToken, deps.purposeKeys.verificationTokens);
  if (!id) {
    await throttle(deps, [{ limit: 'VERIFY_EMAIL_NETWORK', key: networkOf(call.origin.address) }], {}, call);
    throw new AuthError('VERIFICATION_TOKEN_INVALID');
  }
  await throttle(deps, [{ limit: 'VERIFY_EMAIL_TOKEN', key: id }], {}, call);
  const verification = await store.emailVerifications.byId(id, now(), call.signal);
  if (!verification) throw new AuthError('VERIFICATION_TOKEN_INVALID');
  const isDone = await store.emailVerifications.redeem(verification, now(), effectsOf(verification, call));
  if (!isDone) throw new AuthError('VERIFICATION_TOKEN_INVALID');
  // Tokens carry the address.
  await deps.changeFeed.catchUp();
}

function effectsOf({ userId, accountEmail, changeId }: EmailVerification, { origin }: Call): Effect[] {
  if (changeId === null) return [audit({ type: 'email_verified', userId, origin })];
  return [
    audit({ type: 'email_changed', userId, origin }),
    mail({ template: 'email-changed', userId, email: accountEmail, changeId }),
  ];
}
