import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { FinishStepUpRequest } from '../../../gen/latchkey/auth/v1/account_service_pb.ts';
import type { FinishSignInRequest } from '../../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { type ChallengeSchema, FactorKind, type FactorSchema } from '../../../gen/latchkey/auth/v1/types_pb.ts';
import type { AddedFactor } from '../../account/finish-add-factor.ts';
import type { OfferedChallenge, StartedChallenge } from '../../auth/challenges.ts';
import type { FirstStep } from '../../auth/complete-first-step.ts';
import type { SignInProof } from '../../auth/finish-sign-in.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Factor, Proof, ProofKind } from '../../domain/factor.ts';
import { tokensMessage, userMessage } from './messages.ts';

const KINDS: Record<ProofKind, FactorKind> = {
  totp: FactorKind.TOTP,
  passkey: FactorKind.PASSKEY,
  recovery_code: FactorKind.RECOVERY_CODE,
};

const PROOF_KINDS = {
  totpCode: 'totp',
  recoveryCode: 'recovery_code',
  passkeyAssertion: 'passkey',
  passkeyRegistration: 'passkey_registration',
} as const satisfies Record<NonNullable<FinishSignInRequest['proof']['case']>, SignInProof['kind']>;

export function factorMessage({
  id,
  kind,
  name,
  createdAt,
  lastUsedAt,
  backedUp,
}: Factor): MessageInitShape<typeof FactorSchema> {
  return {
    ...{ id, kind: KINDS[kind], name, backedUp, createdAt: timestampFromDate(createdAt) },
    ...(lastUsedAt && { lastUsedAt: timestampFromDate(lastUsedAt) }),
  };
}

export function challengeMessage({
  expiresAt,
  kinds,
  enrolment,
  ...rest
}: OfferedChallenge): MessageInitShape<typeof ChallengeSchema> {
  return {
    ...rest,
    kinds: kinds.map((kind) => KINDS[kind]),
    expiresAt: timestampFromDate(expiresAt),
    ...(enrolment && { enrolment }),
  };
}

export function startedChallengeMessage({ id, expiresAt }: StartedChallenge) {
  return { challengeId: id, expiresAt: timestampFromDate(expiresAt) };
}

export function addedFactorMessage({ factor, recoveryCodes, tokens }: AddedFactor) {
  return { factor: factorMessage(factor), recoveryCodes, tokens: tokensMessage(tokens) };
}

/** Tokens, or the second step. */
export function firstStepMessage(step: FirstStep) {
  if (step.challenge) return { challenge: challengeMessage(step.challenge) };
  const { tokens, user, factorRequiredAt } = step;
  return {
    ...{ tokens: tokensMessage(tokens), user: userMessage(user) },
    ...(factorRequiredAt && { factorRequiredAt: timestampFromDate(factorRequiredAt) }),
  };
}

/** @throws AuthError INVALID_ARGUMENT without a proof */
export function proofOf(proof: FinishStepUpRequest['proof']): Proof;
export function proofOf(proof: FinishSignInRequest['proof']): SignInProof;
export function proofOf(proof: FinishSignInRequest['proof']): SignInProof {
  if (proof.case === undefined) {
    const violations = [{ field: 'proof', description: 'is required: send exactly one of its fields' }];
    throw new AuthError('INVALID_ARGUMENT', { violations });
  }
  return { kind: PROOF_KINDS[proof.case], text: proof.value };
}
