import { InvalidValue } from './parse-fields.ts';

/** The `client_id` in the tokens of users. */
const RESERVED = 'latchkey';

export function isServiceName(text: string): boolean {
  return /^[a-z][a-z0-9-]{0,62}$/.test(text) && text !== RESERVED;
}

/** @throws InvalidValue */
export function parseServiceName(text: string): string {
  if (!isServiceName(text)) {
    throw new InvalidValue(
      'must be at most 63 lower-case letters, digits and hyphens, a letter first, and not latchkey',
    );
  }
  return text;
}
