import { createHash } from 'node:crypto';
import { InvalidValue } from './parse-fields.ts';

const FINGERPRINT_BYTES = 8;
const MAX_CHARACTERS = 512;

/**
 * Not authenticated: a forged token shows no other page than the same query can show (docs/decisions/page-tokens.md).
 * @param query the method and every filter of the request
 */
export function formatPageToken(after: string, query: string): string {
  return Buffer.concat([fingerprint(query), Buffer.from(after)]).toString('base64url');
}

/**
 * @returns the key after which the page begins; empty for the first page
 * @throws InvalidValue when the token is malformed or belongs to another query
 */
export function parsePageToken(text: string, query: string, parseAfter: (after: string) => string): string {
  if (text === '') return '';
  const bytes = Buffer.from(text, 'base64url');
  const isOfQuery =
    text.length <= MAX_CHARACTERS &&
    bytes.toString('base64url') === text &&
    bytes.subarray(0, FINGERPRINT_BYTES).equals(fingerprint(query));
  try {
    if (isOfQuery) return parseAfter(bytes.subarray(FINGERPRINT_BYTES).toString());
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
  }
  throw new InvalidValue('must be empty or the next_page_token of the same query');
}

function fingerprint(query: string): Buffer {
  return createHash('sha256').update(query).digest().subarray(0, FINGERPRINT_BYTES);
}
