// Identifies the browser that registered an account, derived from the account's id.
import type { KeyRing } from './key-ring.ts';
import { isEqual, macOf } from './mac.ts';

/** @param userId a new id when the email is taken: the two answers must look the same */
export function registrationBinding(userId: string, [key]: KeyRing): string {
  return `lkg_${macOf(userId, key).toString('base64url')}`;
}

export function isRegistrationBinding(text: string, userId: string, keys: KeyRing): boolean {
  return keys.some((key) => isEqual(text, registrationBinding(userId, [key])));
}
