// A factor that a user adds: checks its first proof, and writes what the change causes.
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect, mail } from '../domain/effect.ts';
import { type FactorKind, parseNewFactorName } from '../domain/factor.ts';
import type { User } from '../domain/user.ts';
import { uuidToBytes } from '../domain/uuid.ts';
import { verifyRegistration } from '../factors/passkeys.ts';
import { newRecoveryCodes, recoveryCodeMac } from '../factors/recovery-codes.ts';
import { matchingTotpStep } from '../factors/totp.ts';
import type { Challenge } from '../store/challenges.ts';
import type { NewFactor } from '../store/factor-rows.ts';
import type { AddingFailure } from '../store/factors.ts';
import { ceremonyCause } from './ceremony-cause.ts';
import { secretOf } from './check-proof.ts';
import { rejectProof } from './reject-proof.ts';

type Enrolling = {
  /** The factor gets its id. */
  challenge: Pick<Challenge, 'id' | 'sessionId' | 'factorName' | 'totpSecret'> & { userId: string; bytes: Buffer };
  /** A code of the authenticator app, or the JSON of the new passkey. */
  proof: { kind: FactorKind; text: string };
};

type EnrolDeps = Pick<Deps, 'store' | 'relyingParty' | 'purposeKeys' | 'now'>;

/** @throws AuthError FACTOR_INVALID, INVALID_ARGUMENT, or CHALLENGE_INVALID for a factor of the other kind */
export function proveNewFactor(deps: EnrolDeps, enrolling: Enrolling, call: Call): Promise<NewFactor> {
  return enrolling.proof.kind === 'totp' ? proveTotp(deps, enrolling, call) : provePasskey(deps, enrolling, call);
}

async function proveTotp(deps: EnrolDeps, { challenge, proof }: Enrolling, call: Call): Promise<NewFactor> {
  const { id, userId, sessionId, totpSecret: secret, factorName } = challenge;
  if (secret === null) throw new AuthError('CHALLENGE_INVALID');
  const mayTry = await deps.store.challenges.countCode(id);
  const step = mayTry ? matchingTotpStep(secretOf(deps, { id, secret }), proof.text, deps.now()) : null;
  if (step === null) return rejectProof(deps, { userId, sessionId, kind: 'totp' }, 'wrong', call);
  return { id, kind: 'totp', name: factorName ?? parseNewFactorName('', 'totp'), secret, step };
}

async function provePasskey(deps: EnrolDeps, { challenge, proof }: Enrolling, call: Call): Promise<NewFactor> {
  const { id, userId, sessionId, factorName, bytes } = challenge;
  const passkey = await verifyRegistration(deps.relyingParty, { response: proof.text, challenge: bytes }).catch(
    (error: unknown) => ceremonyCause('passkey_registration', error),
  );
  if (typeof passkey === 'string') return rejectProof(deps, { userId, sessionId, kind: 'passkey' }, passkey, call);
  const { credentialId, publicKey, transports, backedUp, isBackupEligible, counter: signCount } = passkey;
  const credential = { credentialId, publicKey, transports, backedUp, isBackupEligible, signCount };
  const name = factorName ?? parseNewFactorName('', 'passkey');
  return { id, kind: 'passkey', name, ...credential, userHandle: uuidToBytes(userId) };
}

/** The codes to show, and what is stored of them. */
export function recoveryCodesFor(
  userId: string,
  { purposeKeys }: Pick<Deps, 'purposeKeys'>,
): { codes: string[]; macs: Buffer[] } {
  const codes = newRecoveryCodes();
  const [key] = purposeKeys.recoveryCodes;
  return { codes, macs: codes.map((code) => recoveryCodeMac(code, userId, key)) };
}

export function factorAddedEffects(
  { id: userId, email }: User,
  factor: NewFactor,
  sessionId: string,
  { origin }: Call,
): Effect[] {
  const { kind, id } = factor;
  return [
    audit({ type: 'factor_added', userId, sessionId, target: `factor:${id}`, detail: kind, origin }),
    mail({ template: 'factor-added', userId, email, kind }),
  ];
}

const REASONS = {
  account: 'TOKEN_REVOKED',
  challenge: 'CHALLENGE_INVALID',
  many: 'TOO_MANY_FACTORS',
  taken: 'PASSKEY_TAKEN',
} as const satisfies Record<AddingFailure, string>;

export function addingError(failure: AddingFailure): AuthError {
  return new AuthError(REASONS[failure]);
}
