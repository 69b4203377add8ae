import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { Change } from '../domain/revocation-event.ts';
import { type Cursor, formatCursor, parseCursor } from '../revocation-feed/cursor.ts';

export type WatchInput = { cursor: string };

/** `cursor` is empty and `asOf` null until the snapshot is complete. */
export type WatchMessage = { changes: Change[]; cursor: string; asOf: Date | null };

/** @throws AuthError CURSOR_TOO_OLD or WATCHER_TOO_SLOW */
export async function* watch(
  deps: Pick<Deps, 'watchers' | 'purposeKeys'>,
  input: WatchInput,
  { signal }: Call,
): AsyncIterable<WatchMessage> {
  const keys = deps.purposeKeys.watchCursors;
  const { cursor } = parseFields({ cursor: () => parseOptionalCursor(input.cursor, keys) });
  for await (const { changes, position } of deps.watchers.watch(cursor, signal)) {
    yield { changes, cursor: position ? formatCursor(position, keys) : '', asOf: position?.asOf ?? null };
  }
}

function parseOptionalCursor(text: string, keys: KeyRing): Cursor | null {
  return text === '' ? null : parseCursor(text, keys);
}
