// Factors that no proof matches. The comparison with one takes as long as with a factor of an account.
import { generateKeyPairSync } from 'node:crypto';
import type { StoredPasskey, StoredTotp } from '../store/factor-rows.ts';

const DECOY = { id: '00000000-0000-4000-8000-000000000000', name: '', createdAt: new Date(0), lastUsedAt: null };

export const DECOY_TOTP: StoredTotp = { ...DECOY, kind: 'totp', backedUp: false, secret: Buffer.alloc(48), step: 0 };

export const DECOY_PASSKEY: StoredPasskey = {
  ...DECOY,
  kind: 'passkey',
  credentialId: Buffer.alloc(16),
  publicKey: decoyPublicKey(),
  signCount: 0,
  userHandle: Buffer.alloc(0),
  transports: [],
  backedUp: false,
  isBackupEligible: null,
};

/** An ES256 key in COSE (RFC 9053 section 7.1.1) whose private half is not kept. */
function decoyPublicKey(): Buffer {
  const { x = '', y = '' } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
  const coordinate = (label: number, text: string) =>
    Buffer.concat([Buffer.from([label, 0x58, 0x20]), Buffer.from(text, 'base64url')]);
  const head = Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01]);
  return Buffer.concat([head, coordinate(0x21, x), coordinate(0x22, y)]);
}
