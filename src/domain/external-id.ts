import { invalid } from './parse-fields.ts';
import { UNPRINTABLE } from './unprintable.ts';

const MAX_BYTES = 255;

/** The id of an account in another system. It is compared exactly. @throws InvalidValue */
export function parseExternalId(text: string): string {
  if (text === '') return invalid('is required');
  if (Buffer.byteLength(text) > MAX_BYTES) invalid(`must be at most ${MAX_BYTES} bytes long`);
  if (UNPRINTABLE.test(text) || text.includes('\ufffd')) invalid('must have no control or invisible characters');
  return text;
}
