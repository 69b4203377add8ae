import { openToken, sealToken, type TokenKind } from './sealed-token.ts';
import { uuidFromBytes, uuidToBytes } from './uuid.ts';

const KIND: TokenKind = { prefix: 'lkp_', payloadBytes: 16 };

export function formatResetToken(resetId: string, key: Buffer): string {
  return sealToken(KIND, uuidToBytes(resetId), key);
}

/** The id of the reset, or null for anything that this deployment has not made. */
export function parseResetToken(text: string, key: Buffer): string | null {
  const payload = openToken(KIND, text, key);
  return payload && uuidFromBytes(payload);
}
