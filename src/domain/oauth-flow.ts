// What belongs to one sign-in at a provider, all of it derived from its id: nothing of it is kept anywhere.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from './key-ring.ts';
import { openToken, sealToken, type TokenKind } from './sealed-token.ts';
import { uuidFromBytes, uuidToBytes } from './uuid.ts';

const STATE: TokenKind = { prefix: 'lks_', payloadBytes: 16 };

export type FlowSecrets = {
  /** Goes through the browser and the provider, and comes back. */
  state: string;
  /** Stays with the browser that began: whoever brings back a state alone is not it. */
  binding: string;
  /** Comes back inside what the provider signs. */
  nonce: string;
  /** RFC 7636. */
  codeVerifier: string;
};

export function flowSecrets(id: string, [key]: KeyRing): FlowSecrets {
  const derive = (what: string) => createHmac('sha256', key).update(`${what} ${id}`).digest('base64url');
  return {
    state: sealToken(STATE, uuidToBytes(id), [key]),
    binding: `lkb_${derive('binding')}`,
    nonce: derive('nonce'),
    codeVerifier: derive('code verifier'),
  };
}

/** The flow, or null unless both were made by this deployment, for each other. */
export function parseFlow(state: string, binding: string, keys: KeyRing): (FlowSecrets & { id: string }) | null {
  for (const key of keys) {
    const payload = openToken(STATE, state, [key]);
    if (!payload) continue;
    const id = uuidFromBytes(payload);
    const secrets = flowSecrets(id, [key]);
    const [expected, given] = [Buffer.from(secrets.binding), Buffer.from(binding)];
    return expected.length === given.length && timingSafeEqual(expected, given) ? { ...secrets, id } : null;
  }
  return null;
}
