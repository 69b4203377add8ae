import type { ChallengeDeps, NewChallenge } from '../auth/challenges.ts';
import {
  newPasskeyOptions,
  newTotp,
  type StartedChallenge,
  startChallenge,
  type TotpEnrolment,
} from '../auth/challenges.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { type FactorKind, MAX_FACTORS, parseNewFactorName } from '../domain/factor.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { StoredFactor } from '../store/factor-rows.ts';
import type { Credentials } from '../store/users.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';
import { countChange } from './count-change.ts';

export type StartAddFactorInput = { principal: UserCaller; name: string; currentPassword: string };

type StartDeps = ReauthenticationDeps & ChallengeDeps;

/** @throws AuthError TOO_MANY_FACTORS, REAUTHENTICATION_REQUIRED or PASSWORD_WRONG */
export async function startAddTotp(
  deps: StartDeps,
  input: StartAddFactorInput,
  call: Call,
): Promise<StartedChallenge & { totp: TotpEnrolment }> {
  const { credentials, challenge } = await prepare(deps, 'totp', input, call);
  const id = deps.newId();
  const { enrolment, encrypted } = newTotp(deps, id, credentials.user);
  const started = await startChallenge(deps, { ...challenge, totpSecret: encrypted }, call, [], id);
  return { id: started.id, expiresAt: started.expiresAt, totp: enrolment };
}

/** @throws AuthError TOO_MANY_FACTORS, REAUTHENTICATION_REQUIRED or PASSWORD_WRONG */
export async function startAddPasskey(
  deps: StartDeps,
  input: StartAddFactorInput,
  call: Call,
): Promise<StartedChallenge & { creationOptions: string }> {
  const { credentials, challenge, factors } = await prepare(deps, 'passkey', input, call);
  const { id, expiresAt, bytes } = await startChallenge(deps, challenge, call);
  return { id, expiresAt, creationOptions: newPasskeyOptions(deps, credentials.user, bytes, factors) };
}

async function prepare(
  deps: StartDeps,
  kind: FactorKind,
  input: StartAddFactorInput,
  call: Call,
): Promise<{ credentials: Credentials; challenge: NewChallenge; factors: StoredFactor[] }> {
  const { userId, sessionId } = input.principal;
  const { name } = parseFields({ name: () => parseNewFactorName(input.name, kind) });
  await countChange(deps, input.principal, call);
  const { owner, ...credentials } = await assertReauthenticated(deps, input, call);
  const factors = await deps.store.factors.ofUser(userId, call.signal);
  if (factors.filter((factor) => factor.kind === kind).length >= MAX_FACTORS[kind]) {
    throw new AuthError('TOO_MANY_FACTORS');
  }
  // Without a factor in the re-authentication the new one must be the first.
  const acr = owner.usedFactor ? 'mfa' : 'pwd';
  return {
    credentials,
    factors,
    challenge: { purpose: `add_${kind}`, userId, sessionId, passwordEpoch: owner.passwordEpoch, factorName: name, acr },
  };
}
