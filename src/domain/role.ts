import { InvalidValue } from './parse-fields.ts';

export const USER_ROLE = 'user';
export const ADMIN_ROLE = 'admin';

/** May read the roles of users by their id. */
export const ROLES_READ_ROLE = 'latchkey.roles.read';
/** May name the client that it calls for. */
export const ON_BEHALF_OF_ROLE = 'latchkey.on-behalf-of';
/** Migrations create them. They cannot be deleted. */
export const BUILT_IN_ROLES = [USER_ROLE, ADMIN_ROLE, ROLES_READ_ROLE, ON_BEHALF_OF_ROLE];

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
