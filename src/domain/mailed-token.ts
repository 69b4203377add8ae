// The payload is the id of the row that the token redeems.
import type { KeyRing } from './key-ring.ts';
import { sealToken, type TokenKind, unsealToken } from './sealed-token.ts';
import { uuidFromBytes, uuidToBytes } from './uuid.ts';

export const RESET_TOKEN: TokenKind = { prefix: 'lkp_', payloadBytes: 16 };
export const NETWORK_TOKEN: TokenKind = { prefix: 'lkn_', payloadBytes: 16 };
export const VERIFICATION_TOKEN: TokenKind = { prefix: 'lkv_', payloadBytes: 16 };
export const UNDO_TOKEN: TokenKind = { prefix: 'lku_', payloadBytes: 16 };

export function formatMailedToken(kind: TokenKind, id: string, keys: KeyRing): string {
  return sealToken(kind, uuidToBytes(id), keys);
}

export function parseMailedToken(kind: TokenKind, text: string, keys: KeyRing): string | null {
  const payload = unsealToken(kind, text, keys);
  return payload && uuidFromBytes(payload);
}
