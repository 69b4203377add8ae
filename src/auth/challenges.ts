// A challenge is the state of a second step between two calls. The client holds its id.
import type { Deps } from '../deps.ts';
import { ACR_OF_PROOF, type Acr, reaches } from '../domain/acr.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { CHALLENGE_TTL_MS, type ChallengePurpose, challengeSecrets, parseChallenge } from '../domain/challenge.ts';
import type { Effect } from '../domain/effect.ts';
import type { ProofKind } from '../domain/factor.ts';
import { networkOf } from '../domain/networks.ts';
import { encryptSecret } from '../domain/secret-encryption.ts';
import type { User } from '../domain/user.ts';
import { creationOptions, requestOptions } from '../factors/passkeys.ts';
import { qrCodeSvg } from '../factors/qr-code.ts';
import { newTotpSecret, totpSecretText, totpUri } from '../factors/totp.ts';
import type { Challenge } from '../store/challenges.ts';
import type { StoredFactor, StoredPasskey } from '../store/factor-rows.ts';

export type ChallengeDeps = Pick<Deps, 'store' | 'relyingParty' | 'purposeKeys' | 'now' | 'newId'>;

export type TotpEnrolment = { secret: string; uri: string; qrCodeSvg: string };

export type StartedChallenge = { id: string; expiresAt: Date };

/** The second step, as the client receives it. */
export type OfferedChallenge = StartedChallenge & {
  kinds: ProofKind[];
  /** Empty without the kind passkey. */
  passkeyRequestOptions: string;
  /** A factor to add in order to sign in. */
  enrolment: { totp: TotpEnrolment; passkeyCreationOptions: string } | null;
};

/** Everything else has an empty value. */
export type NewChallenge = Pick<Challenge, 'purpose'> & Partial<Omit<Challenge, 'id' | 'purpose' | 'network'>>;

type OpenChallenge = StartedChallenge & { bytes: Buffer };

/** @param effects are written together with the challenge */
export async function startChallenge(
  { store, purposeKeys, now, newId }: ChallengeDeps,
  challenge: NewChallenge,
  call: Call,
  effects: Effect[] = [],
  id: string = newId(),
): Promise<OpenChallenge> {
  const at = now();
  const expiresAt = new Date(at.getTime() + CHALLENGE_TTL_MS);
  const { token, bytes } = challengeSecrets(id, purposeKeys.factorChallenges);
  const row = { ...EMPTY, ...challenge, id, network: networkOf(call.origin.address) };
  if (!(await store.challenges.create(row, { at, expiresAt, effects }))) throw new AuthError('CHALLENGE_INVALID');
  return { id: token, bytes, expiresAt };
}

/** @returns null when the account has no factor of the strength that the challenge requires */
export async function offerChallenge(
  deps: ChallengeDeps,
  challenge: NewChallenge & { userId: string },
  factors: StoredFactor[],
  call: Call,
  effects: Effect[] = [],
): Promise<OfferedChallenge | null> {
  const { acr = 'pwd', userId } = challenge;
  const kinds = await kindsOf(deps, { userId, acr }, factors);
  if (kinds.length === 0) return null;
  const { id, bytes, expiresAt } = await startChallenge(deps, challenge, call, effects);
  return { id, kinds, expiresAt, passkeyRequestOptions: secondStepOptions(deps, bytes, factors), enrolment: null };
}

/** The kinds of proof that the account has, and that have the strength. */
export async function kindsOf(
  { store }: Pick<Deps, 'store'>,
  { userId, acr }: { userId: string; acr: Acr },
  factors: StoredFactor[],
): Promise<ProofKind[]> {
  const all: ProofKind[] = [...new Set(factors.map(({ kind }) => kind))];
  if ((await store.factors.recoveryCodesLeft(userId)) > 0) all.push('recovery_code');
  return all.filter((kind) => reaches(ACR_OF_PROOF[kind], acr));
}

/** Empty for an account without a passkey. */
export function secondStepOptions(
  { relyingParty }: Pick<Deps, 'relyingParty'>,
  challenge: Buffer,
  factors: StoredFactor[],
): string {
  const allowed = passkeysOf(factors);
  return allowed.length === 0
    ? ''
    : requestOptions(relyingParty, { challenge, allowed, requiresUserVerification: false });
}

/** For a passkey that is the whole sign-in. */
export function passkeyAloneOptions({ relyingParty }: Pick<Deps, 'relyingParty'>, challenge: Buffer): string {
  return requestOptions(relyingParty, { challenge, allowed: null, requiresUserVerification: true });
}

/** The user adds the first factor in order to sign in, an authenticator app or a passkey. */
export async function offerEnrolment(
  deps: ChallengeDeps,
  challenge: NewChallenge,
  user: User,
  call: Call,
  effects: Effect[],
): Promise<OfferedChallenge> {
  const id = deps.newId();
  const { enrolment: totp, encrypted } = newTotp(deps, id, user);
  const enrolling = { ...challenge, enrols: true, totpSecret: encrypted };
  const started = await startChallenge(deps, enrolling, call, effects, id);
  const passkeyCreationOptions = newPasskeyOptions(deps, user, started.bytes, []);
  return {
    ...{ id: started.id, expiresAt: started.expiresAt },
    kinds: ['totp', 'passkey'],
    passkeyRequestOptions: '',
    enrolment: { totp, passkeyCreationOptions },
  };
}

/** @param factorId the id of the challenge, which the factor will have. It is authenticated with the secret. */
export function newTotp(
  { relyingParty, purposeKeys }: Pick<ChallengeDeps, 'relyingParty' | 'purposeKeys'>,
  factorId: string,
  user: User,
): { enrolment: TotpEnrolment; encrypted: Buffer } {
  const secret = newTotpSecret();
  return {
    enrolment: totpEnrolment({ relyingParty }, secret, user),
    encrypted: encryptSecret(secret, factorId, purposeKeys.totpSecrets),
  };
}

export function totpEnrolment(
  { relyingParty }: Pick<ChallengeDeps, 'relyingParty'>,
  secret: Buffer,
  { email }: User,
): TotpEnrolment {
  const uri = totpUri({ secret, issuer: relyingParty.name, account: email });
  return { secret: totpSecretText(secret), uri, qrCodeSvg: qrCodeSvg(uri) };
}

export function newPasskeyOptions(
  { relyingParty }: Pick<ChallengeDeps, 'relyingParty'>,
  { id: userId, email, fullName }: User,
  challenge: Buffer,
  factors: StoredFactor[],
): string {
  return creationOptions(relyingParty, { userId, email, fullName, challenge, excluded: passkeysOf(factors) });
}

/**
 * The challenge with the bytes that a passkey signs.
 * @throws AuthError CHALLENGE_INVALID unless it is unused, of one of the purposes, and of the caller's network
 */
export async function readChallenge(
  { store, purposeKeys, now }: Pick<Deps, 'store' | 'purposeKeys' | 'now'>,
  token: string,
  purposes: ChallengePurpose[],
  call: Call,
): Promise<Challenge & { bytes: Buffer }> {
  const parsed = parseChallenge(token, purposeKeys.factorChallenges);
  const found = parsed && (await store.challenges.byId(parsed.id, now(), call.signal));
  const isValid = found && purposes.includes(found.purpose) && found.network === networkOf(call.origin.address);
  if (!isValid) throw new AuthError('CHALLENGE_INVALID');
  return { ...found, bytes: parsed.bytes };
}

function passkeysOf(factors: StoredFactor[]): StoredPasskey[] {
  return factors.filter((factor) => factor.kind === 'passkey');
}

const EMPTY: Omit<Challenge, 'id' | 'purpose' | 'network'> = {
  userId: null,
  sessionId: null,
  passwordEpoch: null,
  audiences: null,
  amr: [],
  identity: null,
  factorName: null,
  totpSecret: null,
  enrols: false,
  acr: 'pwd',
};
