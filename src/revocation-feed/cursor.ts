import { InvalidValue } from '../domain/parse-fields.ts';
import { isSnapshot, type Snapshot } from '../store/revocation-events.ts';

export type Cursor = { snapshot: Snapshot; asOf: Date };

/** A snapshot names every transaction that was in progress. */
const MAX_CHARACTERS = 64 * 1024;

/**
 * Not authenticated: a forged cursor hides events only from the caller who forged it (docs/decisions/watch-cursors.md).
 */
export function formatCursor({ snapshot, asOf }: Cursor): string {
  return Buffer.from(`${asOf.getTime()} ${snapshot}`).toString('base64url');
}

/** @throws InvalidValue */
export function parseCursor(text: string): Cursor {
  const decoded = text.length <= MAX_CHARACTERS ? Buffer.from(text, 'base64url').toString() : '';
  const [, milliseconds = '', snapshot = ''] = /^(\d{1,15}) (.+)$/.exec(decoded) ?? [];
  if (!isSnapshot(snapshot) || Buffer.from(decoded).toString('base64url') !== text) {
    throw new InvalidValue('must be empty or a cursor of this deployment');
  }
  return { snapshot, asOf: new Date(Number(milliseconds)) };
}
