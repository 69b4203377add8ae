import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { RevocationEvent } from '../domain/revocation-event.ts';
import { formatCursor, parseCursor } from '../revocation-feed/cursor.ts';

export type WatchInput = { cursor: string };

/** `cursor` and `asOf` are set once all events in force have been sent. */
export type WatchOutput = { events: RevocationEvent[]; cursor: string; asOf: Date | null };

/** @throws AuthError CURSOR_TOO_OLD or WATCHER_TOO_SLOW */
export async function* watch(
  { watchers }: Pick<Deps, 'watchers'>,
  input: WatchInput,
  { signal }: Call,
): AsyncIterable<WatchOutput> {
  const { cursor: from } = parseFields({ cursor: () => (input.cursor === '' ? null : parseCursor(input.cursor)) });
  for await (const { events, position } of watchers.watch(from, signal)) {
    yield { events, cursor: position ? formatCursor(position) : '', asOf: position?.asOf ?? null };
  }
}
