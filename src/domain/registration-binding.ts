// Identifies the browser that registered an account. Derived from the account's id, and stored nowhere.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from './key-ring.ts';

/** @param userId of the account, or the id that it would have got: the two look the same */
export function registrationBinding(userId: string, [key]: KeyRing): string {
  return `lkg_${createHmac('sha256', key).update(userId).digest('base64url')}`;
}

export function isRegistrationBinding(text: string, userId: string, keys: KeyRing): boolean {
  const given = Buffer.from(text);
  return keys.some((key) => {
    const expected = Buffer.from(registrationBinding(userId, [key]));
    return expected.length === given.length && timingSafeEqual(expected, given);
  });
}
