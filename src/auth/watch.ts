import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { Change } from '../domain/revocation-event.ts';
import { type Cursor, formatCursor, parseCursor } from '../revocation-feed/cursor.ts';

export type WatchInput = { cursor: string };

/** `cursor` and `asOf` once the snapshot is complete. */
export type Watched = { changes: Change[]; cursor: string; asOf: Date | null };

/** @throws AuthError CURSOR_TOO_OLD or WATCHER_TOO_SLOW */
export async function* watch(
  deps: Pick<Deps, 'watchers' | 'purposeKeys'>,
  input: WatchInput,
  { signal }: Call,
): AsyncIterable<Watched> {
  const keys = deps.purposeKeys.watchCursors;
  const { cursor: from } = parseFields({ cursor: () => parseFrom(input.cursor, keys) });
  for await (const { changes, position } of deps.watchers.watch(from, signal)) {
    yield { changes, cursor: position ? formatCursor(position, keys) : '', asOf: position?.asOf ?? null };
  }
}

function parseFrom(text: string, keys: KeyRing): Cursor | null {
  return text === '' ? null : parseCursor(text, keys);
}
