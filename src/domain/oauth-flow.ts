// The secrets are derived from the id of the flow, and not stored.
import type { KeyRing } from './key-ring.ts';
import { isEqual, macOf } from './mac.ts';
import { sealToken, type TokenKind, unsealToken } from './sealed-token.ts';
import { uuidFromBytes, uuidToBytes } from './uuid.ts';

const STATE: TokenKind = { prefix: 'lks_', payloadBytes: 16 };

export type FlowSecrets = {
  state: string;
  /** The browser that began the flow keeps it. A browser that returns only the state is another one. */
  binding: string;
  nonce: string;
  /** RFC 7636. */
  codeVerifier: string;
};

export function flowSecrets(id: string, [key]: KeyRing): FlowSecrets {
  const derive = (purpose: string) => macOf(`${purpose} ${id}`, key).toString('base64url');
  return {
    state: sealToken(STATE, uuidToBytes(id), [key]),
    binding: `lkb_${derive('binding')}`,
    nonce: derive('nonce'),
    codeVerifier: derive('code verifier'),
  };
}

/** Null unless state and binding are valid and belong to each other. */
export function parseFlow(state: string, binding: string, keys: KeyRing): (FlowSecrets & { id: string }) | null {
  for (const key of keys) {
    const payload = unsealToken(STATE, state, [key]);
    if (!payload) continue;
    const id = uuidFromBytes(payload);
    const secrets = flowSecrets(id, [key]);
    return isEqual(binding, secrets.binding) ? { ...secrets, id } : null;
  }
  return null;
}
