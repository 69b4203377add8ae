import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { User } from '../domain/user.ts';
import {
  type ChallengeDeps,
  type NewChallenge,
  type OfferedChallenge,
  offerChallenge,
  offerEnrolment,
} from './challenges.ts';
import { issueTokens } from './issue-tokens.ts';
import { openSession, type SignIn } from './open-session.ts';

export type FirstStepDeps = ChallengeDeps &
  Pick<Deps, 'sessionUsers' | 'signingKeys' | 'verifier' | 'purposeKeys' | 'tokenSettings'>;

export type SignedIn = { tokens: Tokens; user: User };

export type FirstStep =
  | (SignedIn & {
      challenge: null;
      /** When a policy begins to require a factor, which the account does not have. */
      factorRequiredAt: Date | null;
    })
  | { challenge: OfferedChallenge };

/** @returns null when the account has changed since its credentials were read */
export async function completeFirstStep(deps: FirstStepDeps, signIn: SignIn, call: Call): Promise<FirstStep | null> {
  const { user } = signIn.credentials;
  const factors = await deps.store.factors.ofUser(user.id, call.signal);
  const challenged = [audit({ type: 'sign_in_challenged', userId: user.id, ...detailOf(signIn), origin: call.origin })];
  if (factors.length > 0) {
    const challenge = await offerChallenge(deps, challengeOf(signIn), factors, call, challenged);
    return challenge && { challenge };
  }
  const factorRequiredAt = await deps.store.factors.requiredAt(user.id, deps.now());
  if (factorRequiredAt !== null && factorRequiredAt <= deps.now()) {
    return { challenge: await offerEnrolment(deps, challengeOf(signIn), user, call, challenged) };
  }
  const grant = await openSession(deps, signIn, call);
  if (typeof grant === 'string') return null;
  return { tokens: await issueTokens(deps, grant), user, challenge: null, factorRequiredAt };
}

function challengeOf({ credentials, identity, audiences, methods }: SignIn): NewChallenge & { userId: string } {
  const { user, passwordEpoch } = credentials;
  return { purpose: 'sign_in', userId: user.id, passwordEpoch, audiences, amr: methods.amr, identity };
}

function detailOf({ identity }: SignIn): { detail?: string } {
  return identity ? { detail: identity.provider } : {};
}
