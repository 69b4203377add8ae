import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { BY_PASSKEY_ALONE, type Methods, withProof } from '../domain/acr.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import type { Effect } from '../domain/effect.ts';
import type { FactorKind, Proof, ProofKind } from '../domain/factor.ts';
import { networkOf } from '../domain/networks.ts';
import type { User } from '../domain/user.ts';
import { assertedCredentialId } from '../factors/passkeys.ts';
import type { Challenge } from '../store/challenges.ts';
import type { SecondStep, SignInFailure } from '../store/sessions.ts';
import type { Credentials } from '../store/users.ts';
import { assertPasskey } from './assert-passkey.ts';
import { readChallenge } from './challenges.ts';
import { checkProof } from './check-proof.ts';
import type { FirstStepDeps, SignedIn } from './complete-first-step.ts';
import type { Permit } from './enforce-limits.ts';
import { issueTokens } from './issue-tokens.ts';
import { limitSecondSteps } from './limit-second-steps.ts';
import { factorAddedEffects, proveNewFactor, recoveryCodesFor } from './new-factor.ts';
import { openSession } from './open-session.ts';
import { recoveryEffects } from './recovery-effects.ts';
import { rejectCredentials } from './reject-credentials.ts';
import { rejectProof } from './reject-proof.ts';

/** A registration adds the first factor of an account that must have one. */
export type SignInProof = Proof | { kind: 'passkey_registration'; text: string };

export type FinishSignInInput = { challengeId: string; proof: SignInProof };

type FinishDeps = FirstStepDeps & Pick<Deps, 'limiter' | 'knownNetworks' | 'requiresVerifiedEmail'>;

/** The proof of the second step, before it is used. */
type Proven = {
  credentials: Credentials;
  methods: Methods;
  secondStep: SecondStep;
  effects: (sessionId: string) => Effect[];
  recoveryCodes: string[];
  /** For a code. */
  permit: Permit | null;
};

/** @throws AuthError CHALLENGE_INVALID, FACTOR_INVALID, CREDENTIALS_INVALID, TOO_MANY_FACTORS or PASSKEY_TAKEN */
export async function finishSignIn(
  deps: FinishDeps,
  { challengeId, proof }: FinishSignInInput,
  call: Call,
): Promise<SignedIn & { recoveryCodes: string[] }> {
  const network = await limitSecondSteps(deps, proof, call);
  const challenge = await readChallenge(deps, challengeId, ['sign_in', 'passkey_sign_in'], call);
  const proven = await prove(deps, challenge, proof, call);
  const { credentials, methods, secondStep, effects, recoveryCodes, permit } = proven;
  const { user } = credentials;
  const account = accountHash(user.email, deps.purposeKeys.accountHash);
  const { identity, audiences } = challenge;
  const signIn = { credentials, account, identity, audiences, methods };
  const grant = await openSession(deps, signIn, call, { secondStep, effects });
  if (typeof grant === 'string') return rejectUse(deps, grant, { user, account, proof, challenge }, call);
  const [tokens] = await Promise.all([
    issueTokens(deps, grant),
    network.giveBack(),
    permit?.giveBack(),
    deps.knownNetworks.remember(account, networkOf(call.origin.address)),
  ]);
  return { tokens, user, recoveryCodes };
}

type ReadChallenge = Challenge & { bytes: Buffer };

async function prove(deps: FinishDeps, challenge: ReadChallenge, proof: SignInProof, call: Call): Promise<Proven> {
  const { userId } = challenge;
  if (userId === null) return proveAlone(deps, challenge, proof, call);
  const credentials = await currentCredentials(deps, userId, challenge.passwordEpoch, call);
  return challenge.enrols
    ? proveEnrolment(deps, { ...challenge, userId }, credentials, proof, call)
    : proveFactor(deps, { ...challenge, userId }, credentials, proof, call);
}

/** @throws AuthError CREDENTIALS_INVALID when the account has changed since the first step */
async function currentCredentials(
  deps: FinishDeps,
  userId: string,
  passwordEpoch: number | null,
  call: Call,
): Promise<Credentials> {
  const found = await deps.store.users.credentialsById(userId, call.signal);
  if (!found) throw new AuthError('CREDENTIALS_INVALID');
  const { user } = found;
  const account = accountHash(user.email, deps.purposeKeys.accountHash);
  const reject = (cause: string) => rejectCredentials(deps, { account, userId, cause }, call);
  if (user.disabled) return reject('account disabled');
  if (deps.requiresVerifiedEmail && !user.emailVerified) return reject('email not verified');
  if (passwordEpoch !== null && passwordEpoch !== found.passwordEpoch) return reject('password changed');
  return found;
}

/** The passkey names the account, and has verified the user. */
async function proveAlone(deps: FinishDeps, challenge: ReadChallenge, proof: SignInProof, call: Call): Promise<Proven> {
  if (proof.kind !== 'passkey') return rejectKind(deps, challenge, proof, call);
  const credentialId = assertedCredentialId(proof.text);
  const passkey = credentialId && (await deps.store.factors.byCredentialId(credentialId));
  const presented = { response: proof.text, challenge: challenge.bytes, passkey, sessionId: null, isAlone: true };
  const use = await assertPasskey(deps, { ...presented, userId: passkey?.userId ?? null }, call);
  if (!passkey) return rejectKind(deps, challenge, proof, call);
  const credentials = await currentCredentials(deps, passkey.userId, null, call);
  const secondStep = { challengeId: challenge.id, use };
  return { credentials, methods: BY_PASSKEY_ALONE, secondStep, effects: () => [], recoveryCodes: [], permit: null };
}

async function proveFactor(
  deps: FinishDeps,
  challenge: ReadChallenge & { userId: string },
  credentials: Credentials,
  proof: SignInProof,
  call: Call,
): Promise<Proven> {
  if (proof.kind === 'passkey_registration') return rejectKind(deps, challenge, proof, call);
  const { userId } = challenge;
  const { use, permit } = await checkProof(deps, { challenge, userId, proof }, call);
  return {
    credentials,
    methods: withProof(challenge.amr, proof.kind),
    secondStep: { challengeId: challenge.id, use },
    effects: await recoveryEffects(deps, credentials.user, use, call),
    recoveryCodes: [],
    permit,
  };
}

async function proveEnrolment(
  deps: FinishDeps,
  challenge: ReadChallenge & { userId: string },
  credentials: Credentials,
  proof: SignInProof,
  call: Call,
): Promise<Proven> {
  if (proof.kind === 'recovery_code' || proof.kind === 'passkey') {
    // The rejection takes as long as for an account that has a factor.
    await checkProof(deps, { challenge, userId: challenge.userId, proof }, call);
    return rejectKind(deps, challenge, proof, call);
  }
  const kind: FactorKind = proof.kind === 'totp' ? 'totp' : 'passkey';
  const factor = await proveNewFactor(deps, { challenge, proof: { kind, text: proof.text } }, call);
  const { codes, macs } = recoveryCodesFor(challenge.userId, deps);
  return {
    credentials,
    methods: withProof(challenge.amr, kind),
    secondStep: { challengeId: challenge.id, factor, recoveryCodes: macs, isFirst: true },
    effects: (sessionId) => factorAddedEffects(credentials.user, factor, sessionId, call),
    recoveryCodes: codes,
    permit: null,
  };
}

function rejectKind(deps: FinishDeps, { userId }: Challenge, proof: SignInProof, call: Call): Promise<never> {
  const subject = { userId, sessionId: null, kind: kindOf(proof) };
  return rejectProof(deps, subject, 'not accepted by the challenge', call);
}

function kindOf({ kind }: SignInProof): ProofKind {
  return kind === 'passkey_registration' ? 'passkey' : kind;
}

/** Another call has changed the account, or used the proof. */
function rejectUse(
  deps: FinishDeps,
  failure: SignInFailure,
  { user, account, proof, challenge }: { user: User; account: string; proof: SignInProof; challenge: Challenge },
  call: Call,
): Promise<never> {
  if (failure === 'factor') {
    return rejectProof(deps, { userId: user.id, sessionId: null, kind: kindOf(proof) }, 'used', call);
  }
  if (failure === 'account') {
    return rejectCredentials(deps, { account, userId: user.id, cause: 'account changed meanwhile' }, call);
  }
  throw new AuthError(REASONS[failure], { cause: challenge.id });
}

const REASONS = { challenge: 'CHALLENGE_INVALID', many: 'TOO_MANY_FACTORS', taken: 'PASSKEY_TAKEN' } as const;
