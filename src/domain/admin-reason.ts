import { InvalidValue } from './parse-fields.ts';

const MAX_CHARACTERS = 500;
/** Nothing that would make a line of a log or a terminal something else than it looks. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;

/** Why an administrator does something, for the audit trail. @throws InvalidValue */
export function parseReason(text: string): string {
  if (text.trim() === '') throw new InvalidValue('is required: the audit trail tells why');
  return parseLine(text);
}

/** May be empty. @throws InvalidValue */
export function parseLine(text: string): string {
  if (text.length > MAX_CHARACTERS) throw new InvalidValue(`must be at most ${MAX_CHARACTERS} characters`);
  if (UNPRINTABLE.test(text)) throw new InvalidValue('must have no control or invisible characters');
  return text.trim();
}
