import { InvalidValue } from './parse-fields.ts';
import { UNPRINTABLE } from './unprintable.ts';

const MAX_CHARACTERS = 500;

/** The reason that an administrator gives for a change. The audit trail keeps it. @throws InvalidValue */
export function parseReason(text: string): string {
  if (text.trim() === '') throw new InvalidValue('is required: the audit trail keeps it');
  return parseLine(text);
}

/** One line of text, which may be empty. @throws InvalidValue */
export function parseLine(text: string): string {
  if (text.length > MAX_CHARACTERS) throw new InvalidValue(`must be at most ${MAX_CHARACTERS} characters`);
  if (UNPRINTABLE.test(text)) throw new InvalidValue('must have no control or invisible characters');
  return text.trim();
}
