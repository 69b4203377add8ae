// Where a list goes on. Authenticated, and bound to what was asked for: nobody goes on with another question.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from './key-ring.ts';
import { InvalidValue } from './parse-fields.ts';

/** Of 128 bits. */
const MAC_CHARACTERS = 22;
const MAX_CHARACTERS = 512;

/** @param question the method and all that was asked for besides the page */
export function formatPageToken(after: string, question: string, [key]: KeyRing): string {
  return mac(after, question, key) + Buffer.from(after).toString('base64url');
}

/** Where the page before ended; empty for the first page. @throws InvalidValue */
export function parsePageToken(text: string, question: string, keys: KeyRing): string {
  if (text === '') return '';
  const [given, payload] = [text.slice(0, MAC_CHARACTERS), text.slice(MAC_CHARACTERS)];
  const after = Buffer.from(payload, 'base64url').toString();
  const isOurs =
    text.length <= MAX_CHARACTERS &&
    Buffer.from(after).toString('base64url') === payload &&
    Buffer.byteLength(given) === MAC_CHARACTERS &&
    keys.some((key) => timingSafeEqual(Buffer.from(given), Buffer.from(mac(after, question, key))));
  if (!isOurs) throw new InvalidValue('must be empty or the next_page_token of the same question');
  return after;
}

function mac(after: string, question: string, key: Buffer): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([question, after]))
    .digest('base64url')
    .slice(0, MAC_CHARACTERS);
}
