import { checkProof, type ProofDeps } from '../auth/check-proof.ts';
import { issueTokens } from '../auth/issue-tokens.ts';
import { limitSecondSteps } from '../auth/limit-second-steps.ts';
import { addingError } from '../auth/new-factor.ts';
import { recoveryEffects } from '../auth/recovery-effects.ts';
import { rejectProof } from '../auth/reject-proof.ts';
import type { Deps } from '../deps.ts';
import { withProof } from '../domain/acr.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { Proof } from '../domain/factor.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { Tokens } from '../domain/tokens.ts';
import { factorOf } from '../store/factor-uses.ts';
import { countStepUp } from './count-change.ts';
import { readOwnChallenge } from './read-own-challenge.ts';

export type FinishStepUpInput = { principal: UserCaller; challengeId: string; proof: Proof };

type StepUpDeps = ProofDeps & Pick<Deps, 'sessionUsers' | 'signingKeys' | 'verifier' | 'tokenSettings' | 'newId'>;

/** @throws AuthError CHALLENGE_INVALID, FACTOR_INVALID or CREDENTIALS_INVALID */
export async function finishStepUp(
  deps: StepUpDeps,
  { principal, challengeId, proof }: FinishStepUpInput,
  call: Call,
): Promise<Tokens> {
  const { userId, sessionId } = principal;
  await countStepUp(deps, principal, call);
  const network = await limitSecondSteps(deps, proof, call);
  const { challenge, credentials } = await readOwnChallenge(deps, { principal, challengeId }, 'step_up', call);
  const { use, permit } = await checkProof(deps, { challenge, userId, proof }, call);
  const effects = [
    audit({ type: 'stepped_up', userId, sessionId, detail: proof.kind, origin: call.origin }),
    ...(await recoveryEffects(deps, credentials.user, use, call))(sessionId),
  ];
  const grant = await deps.store.sessions.stepUp(
    { userId, sessionId, passwordEpoch: credentials.passwordEpoch },
    { challengeId: challenge.id, use },
    {
      sessionId,
      idleSeconds: deps.tokenSettings.sessionIdleSeconds,
      location: { address: call.origin.address, userAgent: call.origin.userAgent },
      by: { ...withProof([], proof.kind), factorId: factorOf(use), isByFactor: true },
    },
    { at: deps.now(), effects },
  );
  if (grant === 'factor') return rejectProof(deps, { userId, sessionId, kind: proof.kind }, 'used', call);
  if (typeof grant === 'string') throw addingError(grant);
  await Promise.all([network.giveBack(), permit.giveBack()]);
  return issueTokens(deps, grant);
}
