import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { assertedCredentialId, verifyAssertion } from '../factors/passkeys.ts';
import type { StoredPasskey } from '../store/factor-rows.ts';
import type { FactorUse } from '../store/factor-uses.ts';
import { ceremonyCause } from './ceremony-cause.ts';
import { DECOY_PASSKEY } from './decoy-factors.ts';
import { rejectProof } from './reject-proof.ts';

type PresentedPasskey = {
  /** JSON of the browser. */
  response: string;
  challenge: Buffer;
  /** Null when the account, or any account, does not have the credential. */
  passkey: StoredPasskey | null;
  userId: string | null;
  sessionId: string | null;
  /** Whether the passkey is the whole sign-in: it must have verified the user, and name the user. */
  isAlone: boolean;
};

/** @throws AuthError FACTOR_INVALID or INVALID_ARGUMENT */
export async function assertPasskey(
  deps: Pick<Deps, 'store' | 'relyingParty' | 'now'>,
  { response, challenge, passkey, isAlone, ...subject }: PresentedPasskey,
  call: Call,
): Promise<Extract<FactorUse, { kind: 'passkey' }>> {
  const { id, signCount: counter, ...known } = passkey ?? decoyFor(response);
  const verified = await verifyAssertion(deps.relyingParty, {
    response,
    challenge,
    passkey: { ...known, counter },
    requiresUserVerification: isAlone,
    requiresUserHandle: isAlone,
  }).then(
    ({ counter: signCount, backedUp }) => ({ kind: 'passkey' as const, factorId: id, signCount, backedUp }),
    (error: unknown) => ceremonyCause('passkey_assertion', error),
  );
  if (typeof verified !== 'string') return verified;
  if (verified === 'counter') await reportCopy(deps, { userId: subject.userId, factorId: id }, call);
  const detail = passkey ? verified : 'unknown credential';
  return rejectProof(deps, { ...subject, kind: 'passkey' }, detail, call);
}

function decoyFor(response: string): Omit<StoredPasskey, 'userHandle'> & { userHandle: null } {
  const credentialId = assertedCredentialId(response) ?? DECOY_PASSKEY.credentialId;
  return { ...DECOY_PASSKEY, credentialId, userHandle: null };
}

async function reportCopy(
  { store, now }: Pick<Deps, 'store' | 'now'>,
  { userId, factorId }: { userId: string | null; factorId: string },
  { origin }: Call,
): Promise<void> {
  const event = { type: 'passkey_counter_fell', target: `factor:${factorId}`, origin } as const;
  await store.outbox.write(now(), [audit({ ...event, ...(userId !== null && { userId }) })]);
}
