import { issueTokens } from '../auth/issue-tokens.ts';
import { limitSecondSteps } from '../auth/limit-second-steps.ts';
import { addingError, factorAddedEffects, proveNewFactor, recoveryCodesFor } from '../auth/new-factor.ts';
import type { Deps } from '../deps.ts';
import { withProof } from '../domain/acr.ts';
import type { Call } from '../domain/call.ts';
import type { Factor, FactorKind } from '../domain/factor.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { Tokens } from '../domain/tokens.ts';
import { countChange } from './count-change.ts';
import { limitNotices } from './notice-attempts.ts';
import { readOwnChallenge } from './read-own-challenge.ts';

/** `text` is the first code of the authenticator app, or the JSON of the new passkey. */
export type FinishAddFactorInput = {
  principal: UserCaller;
  challengeId: string;
  proof: { kind: FactorKind; text: string };
};

export type AddedFactor = {
  factor: Factor;
  /** Empty unless it is the first factor. */
  recoveryCodes: string[];
  tokens: Tokens;
};

type FinishDeps = Pick<
  Deps,
  | 'store'
  | 'limiter'
  | 'relyingParty'
  | 'purposeKeys'
  | 'sessionUsers'
  | 'signingKeys'
  | 'verifier'
  | 'tokenSettings'
  | 'now'
  | 'newId'
>;

/** @throws AuthError CHALLENGE_INVALID, FACTOR_INVALID, PASSKEY_TAKEN or TOO_MANY_FACTORS */
export async function finishAddFactor(
  deps: FinishDeps,
  { principal, challengeId, proof }: FinishAddFactorInput,
  call: Call,
): Promise<AddedFactor> {
  const { userId, sessionId } = principal;
  await countChange(deps, principal, call);
  const permit = await limitSecondSteps(deps, proof, call);
  const { challenge, credentials } = await readOwnChallenge(
    deps,
    { principal, challengeId },
    `add_${proof.kind}`,
    call,
  );
  const factor = await proveNewFactor(deps, { challenge, proof }, call);
  await limitNotices(deps, credentials.user, call);
  const { codes, macs } = recoveryCodesFor(userId, deps);
  const at = deps.now();
  const added = await deps.store.factors.add(
    { userId, sessionId, passwordEpoch: credentials.passwordEpoch },
    { challengeId: challenge.id, factor, recoveryCodes: macs, isFirst: challenge.acr === 'pwd' },
    {
      sessionId,
      idleSeconds: deps.tokenSettings.sessionIdleSeconds,
      location: { address: call.origin.address, userAgent: call.origin.userAgent },
      by: { ...withProof([], proof.kind), factorId: factor.id, isByFactor: true },
    },
    { at, effects: () => factorAddedEffects(credentials.user, factor, sessionId, call) },
  );
  if (typeof added === 'string') throw addingError(added);
  await permit.giveBack();
  return {
    factor: { ...factor, createdAt: at, lastUsedAt: null, backedUp: factor.kind === 'passkey' && factor.backedUp },
    recoveryCodes: added.isFirst ? codes : [],
    tokens: await issueTokens(deps, added.grant),
  };
}
