// Compares a proof with the factors of an account. Every failure has the same answer, and takes as long as for an
// account that has the factor.
import type { Deps } from '../deps.ts';
import { ACR_OF_PROOF, reaches } from '../domain/acr.ts';
import type { Call } from '../domain/call.ts';
import type { Proof, ProofKind } from '../domain/factor.ts';
import { isEqual } from '../domain/mac.ts';
import { decryptSecret } from '../domain/secret-encryption.ts';
import { assertedCredentialId } from '../factors/passkeys.ts';
import { parseRecoveryCode, recoveryCodeMac } from '../factors/recovery-codes.ts';
import { matchingTotpStep, newTotpSecret } from '../factors/totp.ts';
import type { Challenge } from '../store/challenges.ts';
import type { StoredTotp } from '../store/factor-rows.ts';
import type { FactorUse } from '../store/factor-uses.ts';
import { assertPasskey } from './assert-passkey.ts';
import { codeAttempts, wrongCodeEffects } from './code-attempts.ts';
import { DECOY_TOTP } from './decoy-factors.ts';
import { enforceLimits, type Permit } from './enforce-limits.ts';
import { rejectProof } from './reject-proof.ts';

export type ProofDeps = Pick<Deps, 'store' | 'limiter' | 'relyingParty' | 'purposeKeys' | 'now'>;

export type PresentedProof = {
  challenge: Pick<Challenge, 'id' | 'sessionId' | 'passwordEpoch' | 'acr'> & { bytes: Buffer };
  userId: string;
  proof: Proof;
};

/**
 * Requires limitSecondSteps. A caller who gives up the call stops nothing, so that each counted code is compared.
 * @throws AuthError FACTOR_INVALID, INVALID_ARGUMENT or RATE_LIMITED
 */
export async function checkProof(
  deps: ProofDeps,
  presented: PresentedProof,
  call: Call,
): Promise<{
  use: FactorUse;
  /** To give back when the proof is used, because only failures count. */
  permit: Permit;
}> {
  const { challenge, userId, proof } = presented;
  const isCode = proof.kind !== 'passkey';
  const attempts = isCode ? codeAttempts({ ...challenge, userId }) : [];
  const permit = await enforceLimits(deps, { attempts, userId }, call);
  if (!reaches(ACR_OF_PROOF[proof.kind], challenge.acr)) return reject(deps, presented, 'too weak', call);
  if (isCode && !(await deps.store.challenges.countCode(challenge.id))) {
    return reject(deps, presented, 'too many codes', call);
  }
  return { use: await USES[proof.kind](deps, presented, call), permit };
}

/** The statement that uses the proof decides finally whether it is unused. */
type UseOf = (deps: ProofDeps, presented: PresentedProof, call: Call) => Promise<FactorUse>;

const USES: Record<ProofKind, UseOf> = { totp: useTotp, recovery_code: useRecoveryCode, passkey: usePasskey };

async function useTotp(deps: ProofDeps, presented: PresentedProof, call: Call): Promise<FactorUse> {
  const factors = await deps.store.factors.ofUser(presented.userId);
  const own = factors.filter((factor) => factor.kind === 'totp');
  const matches = (own.length > 0 ? own : [DECOY_TOTP]).flatMap((factor) => {
    const step = matchingTotpStep(secretOf(deps, factor), presented.proof.text, deps.now());
    return step === null ? [] : [{ factor, step }];
  });
  const match = matches.find(({ factor, step }) => step > factor.step);
  if (!match) return reject(deps, presented, matches.length > 0 ? 'used' : 'wrong', call);
  return { kind: 'totp', factorId: match.factor.id, step: match.step };
}

/** A secret that cannot be decrypted accepts no code. */
export function secretOf(
  { purposeKeys }: Pick<Deps, 'purposeKeys'>,
  { id, secret }: Pick<StoredTotp, 'id' | 'secret'>,
): Buffer {
  return decryptSecret(secret, id, purposeKeys.totpSecrets)?.bytes ?? newTotpSecret();
}

async function useRecoveryCode(deps: ProofDeps, presented: PresentedProof, call: Call): Promise<FactorUse> {
  const { userId, proof } = presented;
  const code = parseRecoveryCode(proof.text) ?? '';
  const unused = await deps.store.factors.unusedRecoveryCodes(userId);
  const macs = deps.purposeKeys.recoveryCodes.map((key) => recoveryCodeMac(code, userId, key));
  const mac = unused.find((stored) => macs.some((one) => isEqual(one, stored)));
  return mac ? { kind: 'recovery_code', userId, mac } : reject(deps, presented, 'wrong or used', call);
}

async function usePasskey(deps: ProofDeps, presented: PresentedProof, call: Call): Promise<FactorUse> {
  const { userId, challenge, proof } = presented;
  const credentialId = assertedCredentialId(proof.text);
  const factors = await deps.store.factors.ofUser(userId);
  const passkey = factors
    .filter((factor) => factor.kind === 'passkey')
    .find((factor) => credentialId !== null && factor.credentialId.equals(credentialId));
  const { bytes, sessionId } = challenge;
  const response = { response: proof.text, challenge: bytes, passkey: passkey ?? null };
  return assertPasskey(deps, { ...response, userId, sessionId, isAlone: false }, call);
}

async function reject(
  deps: Pick<Deps, 'store' | 'limiter' | 'now'>,
  { userId, challenge, proof }: PresentedProof,
  cause: string,
  call: Call,
): Promise<never> {
  const effects = proof.kind === 'passkey' ? [] : await wrongCodeEffects(deps, userId);
  return rejectProof(deps, { userId, sessionId: challenge.sessionId, kind: proof.kind }, cause, call, effects);
}
