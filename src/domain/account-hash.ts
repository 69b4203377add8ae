import { createHmac } from 'node:crypto';
import { type Email, mailboxOf } from './email.ts';
import type { KeyRing } from './key-ring.ts';

/** Stands for an email where the email itself must not be kept: in limits and in audit events. 128 bits, base64url. */
export function accountHash(email: Email, keys: KeyRing): string {
  return hash(email, keys);
}

function hash(text: string, [key]: KeyRing): string {
  return createHmac('sha256', key).update(text).digest().subarray(0, 16).toString('base64url');
}

/** By each of the keys: what was kept under one that goes is found until it does. */
export function accountHashes(email: Email, keys: KeyRing): string[] {
  return keys.map((key) => accountHash(email, [key]));
}

/** The same of `mailboxOf`, for limits on mail. */
export function mailboxHash(email: Email, keys: KeyRing): string {
  return hash(mailboxOf(email), keys);
}
