import { InvalidValue } from './parse-fields.ts';

/** What every new account holds. */
export const USER_ROLE = 'user';
/** What ADMIN access asks for. */
export const ADMIN_ROLE = 'admin';

export function isRole(text: string): boolean {
  return /^[a-z][a-z0-9_.:-]{0,63}$/.test(text);
}

/** @throws InvalidValue */
export function parseRole(text: string): string {
  if (text === '') throw new InvalidValue('is required');
  if (!isRole(text)) {
    throw new InvalidValue('must be at most 64 lower-case letters, digits and _ . : -, a letter first');
  }
  return text;
}
