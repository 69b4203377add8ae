import { InvalidValue } from './parse-fields.ts';
import { UNPRINTABLE } from './unprintable.ts';

const MAX_CHARACTERS = 500;

/** The audit trail keeps the reason. @throws InvalidValue */
export function parseReason(text: string): string {
  if (text.trim() === '') throw new InvalidValue('is required: the audit trail keeps it');
  return parseLine(text);
}

/** One line, which may be empty. @throws InvalidValue */
export function parseLine(text: string): string {
  if (text.length > MAX_CHARACTERS) throw new InvalidValue(`must be at most ${MAX_CHARACTERS} characters`);
  if (UNPRINTABLE.test(text)) throw new InvalidValue('must have no control or invisible characters');
  return text.trim();
}
