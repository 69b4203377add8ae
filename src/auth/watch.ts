import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { OLDEST_WATCH_VERSION, type RevocationEvent, WATCH_VERSIONS } from '../domain/revocation-event.ts';
import { formatCursor, parseCursor } from '../revocation-feed/cursor.ts';

/** `version` of the Watch contract. */
export type WatchInput = { cursor: string; version: number };

/** `cursor` and `asOf` are set once all events in force have been sent. */
export type WatchOutput = { events: RevocationEvent[]; cursor: string; asOf: Date | null };

/** @throws AuthError CLIENT_TOO_OLD, CURSOR_TOO_OLD or WATCHER_TOO_SLOW */
export async function* watch(
  { watchers }: Pick<Deps, 'watchers'>,
  input: WatchInput,
  { signal }: Call,
): AsyncIterable<WatchOutput> {
  if (input.version < OLDEST_WATCH_VERSION) throw new AuthError('CLIENT_TOO_OLD');
  const { cursor: from } = parseFields({ cursor: () => (input.cursor === '' ? null : parseCursor(input.cursor)) });
  for await (const { events, position } of watchers.watch(from, signal)) {
    if (events.some(({ kind }) => WATCH_VERSIONS[kind] > input.version)) throw new AuthError('CLIENT_TOO_OLD');
    yield { events, cursor: position ? formatCursor(position) : '', asOf: position?.asOf ?? null };
  }
}
