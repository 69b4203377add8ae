import { InvalidValue } from './parse-fields.ts';
import { UNPRINTABLE } from './unprintable.ts';

export const MAX_OPERATOR_NAME = 64;

/** The name of a person at the command line, for the audit trail. @throws InvalidValue */
export function parseOperatorName(text: string): string {
  // The bound in UTF-16 units is checked first, because normalisation takes quadratic time on hostile text.
  const name = text.length > 4 * MAX_OPERATOR_NAME ? '' : text.normalize('NFC').trim();
  if (name === '' || [...name].length > MAX_OPERATOR_NAME) {
    throw new InvalidValue(`must be 1 to ${MAX_OPERATOR_NAME} characters long`);
  }
  if (UNPRINTABLE.test(name)) throw new InvalidValue('must have no control or invisible characters');
  if (name.includes('\ufffd')) throw new InvalidValue('must be valid UTF-8');
  return name;
}
