import { create, type JsonValue, toJson } from '@bufbuild/protobuf';
import { ChallengeSchema } from '../../../gen/latchkey/auth/v1/types_pb.ts';
import type { OfferedChallenge } from '../../auth/challenges.ts';
import { type ReofferInput, reofferChallenge } from '../../auth/reoffer-challenge.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Reason } from '../../domain/error-reason.ts';
import { challengeMessage } from '../rpc/factor-messages.ts';
import { sendJson } from '../transport/handler.ts';
import { type SecondStepForm, secondStepPage } from './second-step-page.ts';
import { sendPage } from './session-pages.ts';
import type { SessionRequest } from './session-request.ts';
import { redirect, showRejection, type Visit } from './visit.ts';

/** No proof is accepted any longer for this challenge. */
const LOST: Reason[] = ['CHALLENGE_INVALID', 'CREDENTIALS_INVALID'];

export function offerSecondStep(
  { response }: Visit,
  { isPage }: SessionRequest,
  challenge: OfferedChallenge,
  form: SecondStepForm,
): void {
  if (isPage) sendPage(response, 200, secondStepPage(form, challenge));
  else sendJson(response, 200, { challenge: jsonOf(challenge) });
}

/** With the names of the RPCs. */
function jsonOf(challenge: OfferedChallenge): JsonValue {
  return toJson(ChallengeSchema, create(ChallengeSchema, challengeMessage(challenge)));
}

/** After a wrong proof. A page shows the form with the message, or goes back to where a new challenge starts. */
export async function offerAgain(
  visit: Visit,
  { isPage }: SessionRequest,
  error: unknown,
  input: ReofferInput,
  form: SecondStepForm,
): Promise<void> {
  if (!isPage || !(error instanceof AuthError)) throw error;
  if (LOST.includes(error.reason)) return redirect(visit, form.restartUrl);
  try {
    const challenge = await reofferChallenge(visit.deps, input, visit.call);
    showRejection(visit, error, (message) => secondStepPage(form, challenge, message));
  } catch (failure) {
    if (!(failure instanceof AuthError && failure.reason === 'CHALLENGE_INVALID')) throw failure;
    redirect(visit, form.restartUrl);
  }
}
