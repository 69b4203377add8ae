import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import type { ChallengePurpose } from '../domain/challenge.ts';
import type { User } from '../domain/user.ts';
import type { Challenge } from '../store/challenges.ts';
import {
  kindsOf,
  newPasskeyOptions,
  type OfferedChallenge,
  passkeyAloneOptions,
  readChallenge,
  secondStepOptions,
  totpEnrolment,
} from './challenges.ts';
import { secretOf } from './check-proof.ts';

type ReofferDeps = Pick<Deps, 'store' | 'relyingParty' | 'purposeKeys' | 'now'>;

/** Does not have the time at which the challenge expires, which has not changed. */
export type ReofferedChallenge = Omit<OfferedChallenge, 'expiresAt'>;

export type ReofferInput = {
  challengeId: string;
  purposes: ChallengePurpose[];
  /** Null for a sign-in. */
  sessionId: string | null;
};

/** The challenge as it was offered, for another attempt. @throws AuthError CHALLENGE_INVALID */
export async function reofferChallenge(
  deps: ReofferDeps,
  { challengeId, purposes, sessionId }: ReofferInput,
  call: Call,
): Promise<ReofferedChallenge> {
  const challenge = await readChallenge(deps, challengeId, purposes, call);
  if (challenge.sessionId !== sessionId) throw new AuthError('CHALLENGE_INVALID');
  const { userId, acr, bytes } = challenge;
  const none = { id: challengeId, enrolment: null };
  if (userId === null) return { ...none, kinds: ['passkey'], passkeyRequestOptions: passkeyAloneOptions(deps, bytes) };
  const found = await deps.store.users.credentialsById(userId, call.signal);
  if (!found) throw new AuthError('CHALLENGE_INVALID');
  if (challenge.enrols) return enrolmentOf(deps, challengeId, challenge, found.user);
  const factors = await deps.store.factors.ofUser(userId, call.signal);
  const kinds = await kindsOf(deps, { userId, acr }, factors);
  return { ...none, kinds, passkeyRequestOptions: secondStepOptions(deps, bytes, factors) };
}

function enrolmentOf(
  deps: ReofferDeps,
  challengeId: string,
  { id, totpSecret, bytes }: Challenge & { bytes: Buffer },
  user: User,
): ReofferedChallenge {
  if (totpSecret === null) throw new AuthError('CHALLENGE_INVALID');
  const totp = totpEnrolment(deps, secretOf(deps, { id, secret: totpSecret }), user);
  const passkeyCreationOptions = newPasskeyOptions(deps, user, bytes, []);
  const enrolment = { totp, passkeyCreationOptions };
  return { id: challengeId, kinds: ['totp', 'passkey'], passkeyRequestOptions: '', enrolment };
}
