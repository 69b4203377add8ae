import { InvalidValue } from './parse-fields.ts';
import { UNPRINTABLE } from './unprintable.ts';

const MAX_CODE_POINTS = 200;
/** The bound in UTF-16 units is checked first, because normalisation takes quadratic time on hostile text. */
const MAX_UNITS = 4 * MAX_CODE_POINTS;
/** Joiners are format characters that names in several scripts need. */
const JOINERS = /[\u200c\u200d]/gu;

/** @throws InvalidValue */
export function parseFullName(text: string): string {
  if (text.trim() === '') throw new InvalidValue('is required');
  const name = text.length > MAX_UNITS ? '' : text.normalize('NFC').trim();
  if (name === '' || [...name].length > MAX_CODE_POINTS) throw new InvalidValue('must be at most 200 characters long');
  if (UNPRINTABLE.test(name.replace(JOINERS, '')))
    throw new InvalidValue('must have no control or invisible characters');
  // Decoders replace invalid bytes by this character.
  if (name.includes('\ufffd')) throw new InvalidValue('must be valid UTF-8');
  if (!/[\p{L}\p{N}]/u.test(name)) throw new InvalidValue('must have a letter or a digit');
  return name;
}
