// The folder domain owns the pure rules and values of the service. It must not import another folder or do I/O.
import { type Email, mailboxOf } from './email.ts';
import type { KeyRing } from './key-ring.ts';
import { macOf } from './mac.ts';

/** Replaces an email in limits and audit events, which must not contain it. 128 bits, base64url. */
export function accountHash(email: Email, keys: KeyRing): string {
  return hash(email, keys);
}

/** Entries under a former key must still be found. */
export function accountHashes(email: Email, keys: KeyRing): string[] {
  return keys.map((key) => hash(email, [key]));
}

/** For limits on mail, which count all addresses of a mailbox together. */
export function mailboxHash(email: Email, keys: KeyRing): string {
  return hash(mailboxOf(email), keys);
}

function hash(text: string, [key]: KeyRing): string {
  return macOf(text, key).subarray(0, 16).toString('base64url');
}
