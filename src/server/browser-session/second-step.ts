// The second step of a sign-in: a proof of a factor, or the first factor of an account that must have one.
import type { OfferedChallenge } from '../../auth/challenges.ts';
import type { SignedIn } from '../../auth/complete-first-step.ts';
import { finishSignIn } from '../../auth/finish-sign-in.ts';
import { startPasskeySignIn } from '../../auth/start-passkey-sign-in.ts';
import { sendJson } from '../transport/handler.ts';
import { readSignInProof } from './read-proof.ts';
import { recoveryCodesPage } from './second-step-page.ts';
import { sendPage } from './session-pages.ts';
import type { SessionRequest } from './session-request.ts';
import { offerAgain, offerSecondStep } from './show-challenge.ts';
import { giveCookies, leaveCurrentSession, redirect, signInUrl, type Visit } from './visit.ts';

type NewSession = SignedIn & {
  /** Those of the factor that the sign-in has added. */
  recoveryCodes?: string[];
  factorRequiredAt?: Date | null;
};

/** A sign-in with a passkey alone. The passkey names the account. */
export async function startPasskey(visit: Visit, request: SessionRequest): Promise<void> {
  offerSignInStep(visit, request, await startPasskeySignIn(visit.deps, { audiences: [] }, visit.call));
}

export function offerSignInStep(visit: Visit, request: SessionRequest, challenge: OfferedChallenge): void {
  offerSecondStep(visit, request, challenge, formOf(visit, request));
}

export async function finishSecondStep(visit: Visit, request: SessionRequest): Promise<void> {
  const { challengeId = '' } = request.fields;
  try {
    const input = { challengeId, proof: readSignInProof(request.fields) };
    await giveSession(visit, request, await finishSignIn(visit.deps, input, visit.call));
  } catch (error) {
    const own = { challengeId, purposes: ['sign_in' as const, 'passkey_sign_in' as const], sessionId: null };
    await offerAgain(visit, request, error, own, formOf(visit, request));
  }
}

export async function giveSession(
  visit: Visit,
  { returnTo, isPage }: SessionRequest,
  { tokens, user, recoveryCodes = [], factorRequiredAt = null }: NewSession,
): Promise<void> {
  const { response } = visit;
  await leaveCurrentSession(visit);
  giveCookies(visit, tokens);
  if (isPage) {
    if (recoveryCodes.length === 0) redirect(visit, returnTo);
    else sendPage(response, 200, recoveryCodesPage(recoveryCodes, returnTo));
    return;
  }
  sendJson(response, 200, {
    ...{ userId: user.id, expiresAt: tokens.expiresAt.toISOString(), return: returnTo },
    ...(recoveryCodes.length > 0 && { recoveryCodes }),
    ...(factorRequiredAt && { factorRequiredAt: factorRequiredAt.toISOString() }),
  });
}

function formOf(visit: Visit, { returnTo }: SessionRequest) {
  return { action: 'second-step', hidden: { return: returnTo }, restartUrl: signInUrl(visit, returnTo) };
}
