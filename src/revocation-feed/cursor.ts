// A place in the feed of changes, as watchers keep it: where it was, and when. Authenticated, because what comes back is given
// to Postgres as a snapshot.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../domain/key-ring.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import type { Snapshot } from '../store/revocation-events.ts';

export type Cursor = { snapshot: Snapshot; asOf: Date };

/** Of 128 bits. */
const MAC_CHARACTERS = 22;
/** A snapshot names every transaction that was under way. */
const MAX_CHARACTERS = 64 * 1024;

export function formatCursor({ snapshot, asOf }: Cursor, [key]: KeyRing): string {
  const text = Buffer.from(`${asOf.getTime()} ${snapshot}`).toString('base64url');
  return mac(text, key) + text;
}

/** @throws InvalidValue unless it was made with these keys */
export function parseCursor(text: string, keys: KeyRing): Cursor {
  const [given, payload] = [text.slice(0, MAC_CHARACTERS), text.slice(MAC_CHARACTERS)];
  const isOurs =
    text.length <= MAX_CHARACTERS &&
    Buffer.byteLength(given) === MAC_CHARACTERS &&
    keys.some((key) => timingSafeEqual(Buffer.from(given), Buffer.from(mac(payload, key))));
  if (!isOurs) throw new InvalidValue('must be empty or a cursor of this deployment');
  const [milliseconds, ...snapshot] = Buffer.from(payload, 'base64url').toString().split(' ');
  return { snapshot: snapshot.join(' '), asOf: new Date(Number(milliseconds)) };
}

function mac(text: string, key: Buffer): string {
  return createHmac('sha256', key).update(text).digest('base64url').slice(0, MAC_CHARACTERS);
}
