import { hkdfSync } from 'node:crypto';
import type { KeyRing } from '../domain/key-ring.ts';

/** The label is part of the derivation (RFC 5869). Changing a label invalidates everything made under it. */
const LABELS = {
  refreshTokens: 'latchkey/v1/refresh-token',
  sessionTokens: 'latchkey/v1/session-token',
  resetTokens: 'latchkey/v1/reset-token',
  verificationTokens: 'latchkey/v1/verification-token',
  networkTokens: 'latchkey/v1/network-token',
  undoTokens: 'latchkey/v1/undo-token',
  registrations: 'latchkey/v1/registration',
  oauthFlows: 'latchkey/v1/oauth-flow',
  signingKeyEncryption: 'latchkey/v1/signing-key-encryption',
  accountHash: 'latchkey/v1/account-hash',
  totpSecrets: 'latchkey/v1/totp-secret',
  recoveryCodes: 'latchkey/v1/recovery-code',
  factorChallenges: 'latchkey/v1/factor-challenge',
};

type Purpose = keyof typeof LABELS;

/** A token of one purpose is invalid for every other. */
export type PurposeKeys = Record<Purpose, KeyRing>;

export function derivePurposeKeys(masterKeys: KeyRing): PurposeKeys {
  const [first, ...others] = masterKeys;
  const derive = (masterKey: Buffer, label: string) => Buffer.from(hkdfSync('sha256', masterKey, '', label, 32));
  const ringOf = (label: string): KeyRing => [derive(first, label), ...others.map((other) => derive(other, label))];
  return Object.fromEntries(Object.entries(LABELS).map(([purpose, label]) => [purpose, ringOf(label)])) as PurposeKeys;
}
