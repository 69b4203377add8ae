// The id of a challenge is a token, and the bytes that a passkey signs are derived from it. Neither is stored.
import type { KeyRing } from './key-ring.ts';
import { macOf } from './mac.ts';
import { sealToken, type TokenKind, unsealToken } from './sealed-token.ts';
import { uuidFromBytes, uuidToBytes } from './uuid.ts';

/** Stored: a word never changes its meaning. */
export type ChallengePurpose = 'sign_in' | 'passkey_sign_in' | 'step_up' | 'add_totp' | 'add_passkey';

export type ChallengeSecrets = {
  token: string;
  /** The 32 bytes of the WebAuthn challenge. */
  bytes: Buffer;
};

export const CHALLENGE_TTL_MS = 300_000;

const KIND: TokenKind = { prefix: 'lkc_', payloadBytes: 16 };

export function challengeSecrets(id: string, [key]: KeyRing): ChallengeSecrets {
  return { token: sealToken(KIND, uuidToBytes(id), [key]), bytes: macOf(`webauthn ${id}`, key) };
}

/** Null unless the token is authentic. */
export function parseChallenge(token: string, keys: KeyRing): (ChallengeSecrets & { id: string }) | null {
  for (const key of keys) {
    const payload = unsealToken(KIND, token, [key]);
    if (!payload) continue;
    const id = uuidFromBytes(payload);
    return { id, ...challengeSecrets(id, [key]) };
  }
  return null;
}
