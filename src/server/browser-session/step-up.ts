// The step-up of a session with cookies: the user proves a factor, and the same session goes on with more strength.
import { finishStepUp } from '../../account/finish-step-up.ts';
import { startStepUp } from '../../account/start-step-up.ts';
import { judgeSession } from '../../auth/judge-session.ts';
import { parseAcr, reaches, strongerOf } from '../../domain/acr.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { RENEW_PATH, STEP_UP_PATH, sessionCookieNames } from '../../domain/browser-sessions.ts';
import type { Reason } from '../../domain/error-reason.ts';
import { parseFields } from '../../domain/parse-fields.ts';
import type { UserCaller } from '../../domain/principal.ts';
import { sendJson } from '../transport/handler.ts';
import { readStepUpProof } from './read-proof.ts';
import { cookieOf, type SessionRequest } from './session-request.ts';
import { offerAgain, offerSecondStep } from './show-challenge.ts';
import { giveCookies, redirect, redirectToSignIn, type Visit } from './visit.ts';

/** Without `challengeId` it starts a step-up, and with one it finishes it. */
export async function stepUp(visit: Visit, request: SessionRequest): Promise<void> {
  const { fields, returnTo, isPage } = request;
  const caller = await callerOf(visit);
  if (typeof caller === 'string') {
    if (!isPage) throw new AuthError(caller);
    return redirect(visit, `${RENEW_PATH}?return=${encodeURIComponent(returnTo)}`);
  }
  await (fields.challengeId === undefined ? start(visit, caller, request) : finish(visit, caller, request));
}

/** @returns the reason when the cookie has no valid session */
async function callerOf({ deps, settings, request, call }: Visit): Promise<UserCaller | Reason> {
  const sessionToken = cookieOf(request, sessionCookieNames(settings).session);
  if (sessionToken === '') return 'CREDENTIALS_MISSING';
  // Any audience: a step-up gives the session no other.
  const verdict = await judgeSession(deps, sessionToken, '', call.signal);
  if ('reason' in verdict) return verdict.reason;
  const { principal, token } = verdict.decision;
  return principal.kind === 'user' ? { ...principal, refreshCounter: token.refreshCounter } : 'TOKEN_INVALID';
}

async function start(visit: Visit, principal: UserCaller, request: SessionRequest): Promise<void> {
  const { acr: required } = parseFields({ acr: () => parseAcr(request.fields.acr ?? '') ?? 'pwd' });
  try {
    // A proof that is weaker than the session would leave the time of its authentication as it is.
    const acr = strongerOf(required, principal.acr);
    const challenge = await startStepUp(visit.deps, { principal, acr }, visit.call);
    offerSecondStep(visit, request, challenge, formOf(request));
  } catch (error) {
    const hasNoFactor = error instanceof AuthError && error.reason === 'FACTOR_MISSING';
    const isOnlyTooOld = reaches(principal.acr, required);
    if (!hasNoFactor || !isOnlyTooOld || !request.isPage) throw error;
    redirectToSignIn(visit, request.returnTo);
  }
}

async function finish(visit: Visit, principal: UserCaller, request: SessionRequest): Promise<void> {
  const { fields, returnTo, isPage } = request;
  const { challengeId = '' } = fields;
  try {
    const input = { principal, challengeId, proof: readStepUpProof(fields) };
    const tokens = await finishStepUp(visit.deps, input, visit.call);
    giveCookies(visit, tokens);
    if (isPage) redirect(visit, returnTo);
    else sendJson(visit.response, 200, { expiresAt: tokens.expiresAt.toISOString(), return: returnTo });
  } catch (error) {
    const own = { challengeId, purposes: ['step_up' as const], sessionId: principal.sessionId };
    await offerAgain(visit, request, error, own, formOf(request));
  }
}

function formOf({ fields, returnTo }: SessionRequest) {
  const { acr = '' } = fields;
  const hidden = { return: returnTo, acr };
  return { action: 'step-up', hidden, restartUrl: `${STEP_UP_PATH}?${new URLSearchParams(hidden)}` };
}
