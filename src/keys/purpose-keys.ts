import { hkdfSync } from 'node:crypto';
import type { KeyRing } from '../domain/key-ring.ts';

/** Each purpose's label is part of the derivation (RFC 5869): changing one ends everything made under it. */
const LABELS = {
  refreshTokens: 'latchkey/v1/refresh-token',
  resetTokens: 'latchkey/v1/reset-token',
  verificationTokens: 'latchkey/v1/verification-token',
  networkTokens: 'latchkey/v1/network-token',
  undoTokens: 'latchkey/v1/undo-token',
  registrations: 'latchkey/v1/registration',
  oauthFlows: 'latchkey/v1/oauth-flow',
  signingKeyEncryption: 'latchkey/v1/signing-key-encryption',
  accountHash: 'latchkey/v1/account-hash',
  watchCursors: 'latchkey/v1/watch-cursor',
  pageTokens: 'latchkey/v1/page-token',
};

/** 256-bit keys for each purpose alone, so that what is made for one never passes for another. */
export type PurposeKeys = Record<keyof typeof LABELS, KeyRing>;

export function derivePurposeKeys(masterKeys: KeyRing): PurposeKeys {
  const [first, ...others] = masterKeys;
  const from = (masterKey: Buffer, label: string) => Buffer.from(hkdfSync('sha256', masterKey, '', label, 32));
  const derive = (label: string): KeyRing => [from(first, label), ...others.map((other) => from(other, label))];
  return {
    refreshTokens: derive(LABELS.refreshTokens),
    resetTokens: derive(LABELS.resetTokens),
    verificationTokens: derive(LABELS.verificationTokens),
    networkTokens: derive(LABELS.networkTokens),
    undoTokens: derive(LABELS.undoTokens),
    registrations: derive(LABELS.registrations),
    oauthFlows: derive(LABELS.oauthFlows),
    signingKeyEncryption: derive(LABELS.signingKeyEncryption),
    accountHash: derive(LABELS.accountHash),
    watchCursors: derive(LABELS.watchCursors),
    pageTokens: derive(LABELS.pageTokens),
  };
}
