// Tokens that reach somebody by mail: the id of what they are for, sealed.
import type { KeyRing } from './key-ring.ts';
import { openToken, sealToken, type TokenKind } from './sealed-token.ts';
import { uuidFromBytes, uuidToBytes } from './uuid.ts';

export const RESET_TOKEN: TokenKind = { prefix: 'lkp_', payloadBytes: 16 };
/** Confirms a network. */
export const NETWORK_TOKEN: TokenKind = { prefix: 'lkn_', payloadBytes: 16 };
export const VERIFICATION_TOKEN: TokenKind = { prefix: 'lkv_', payloadBytes: 16 };
export const UNDO_TOKEN: TokenKind = { prefix: 'lku_', payloadBytes: 16 };

export function formatMailedToken(kind: TokenKind, id: string, keys: KeyRing): string {
  return sealToken(kind, uuidToBytes(id), keys);
}

/** The id, or null for anything that this deployment has not made. */
export function parseMailedToken(kind: TokenKind, text: string, keys: KeyRing): string | null {
  const payload = openToken(kind, text, keys);
  return payload && uuidFromBytes(payload);
}
