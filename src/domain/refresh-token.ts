import type { KeyRing } from './key-ring.ts';
import { sealToken, type TokenKind, unsealToken } from './sealed-token.ts';
import { uuidFromBytes, uuidToBytes } from './uuid.ts';

/** `counter` numbers the refresh tokens of a session, from 1. */
export type RefreshToken = { sessionId: string; counter: number };

const KIND: TokenKind = { prefix: 'lkr_', payloadBytes: 20 };

export function formatRefreshToken(token: RefreshToken, keys: KeyRing): string {
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(token.counter);
  return sealToken(KIND, Buffer.concat([uuidToBytes(token.sessionId), counter]), keys);
}

export function parseRefreshToken(text: string, keys: KeyRing): RefreshToken | null {
  const payload = unsealToken(KIND, text, keys);
  return payload && { sessionId: uuidFromBytes(payload.subarray(0, 16)), counter: payload.readUInt32BE(16) };
}
