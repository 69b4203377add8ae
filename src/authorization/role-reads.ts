// Audits the roles that callers read by user id. Each positive answer is counted, and each caller gets one event in a
// quarter of an hour, so that a caller with a million requests neither fills the trail nor waits for it.
import { audit, type Effect } from '../domain/effect.ts';
import type { Store } from '../store/store.ts';

/** `name` is a `subjectName`, and `key` names the key of a service. */
export type RoleReader = { name: string; key: string | null };
export type RoleRead = { reader: RoleReader; userId: string; role: string };

export type RoleReads = {
  record(read: RoleRead): void;
  /** `record` must not be called after it. */
  close(): Promise<void>;
};

type Window = {
  reader: RoleReader;
  since: Date;
  answers: number;
  users: Set<string>;
  roles: Set<string>;
  isTruncated: boolean;
};

const WINDOW_MS = 15 * 60_000;
const WRITE_EVERY_MS = 5_000;
const MAX_READERS = 200;
const MAX_USERS = 1_000;
const MAX_ROLES = 20;
/** An event counts many calls from many places. */
const NO_ORIGIN = { address: '', userAgent: '', requestId: '' };

export function createRoleReads({ store, now }: { store: Pick<Store, 'outbox'>; now: () => Date }): RoleReads {
  // By reader and key, ordered by the beginning of the window.
  const windows = new Map<string, Window>();
  let writing: Promise<void> = Promise.resolve();
  const hasEnded = ({ since }: Window) => now().getTime() - since.getTime() >= WINDOW_MS;
  const timer = setInterval(() => write(hasEnded), WRITE_EVERY_MS);
  timer.unref();

  function windowOf(reader: RoleReader): Window {
    const id = idOf(reader);
    const present = windows.get(id);
    if (present && !hasEnded(present)) return present;
    if (present) write((one) => one === present);
    else if (windows.size >= MAX_READERS) {
      const [oldest] = windows.values();
      write((one) => one === oldest);
    }
    const window = newWindow(reader, now());
    windows.set(id, window);
    return window;
  }

  function write(isDue: (window: Window) => boolean): void {
    const due = [...windows].filter(([, window]) => isDue(window));
    if (due.length === 0) return;
    for (const [id] of due) windows.delete(id);
    writing = writing.then(async () => {
      const at = now();
      const events = due.map(([, window]) => eventOf(window, at));
      await store.outbox.write(at, events).catch(() => restore(due));
    });
  }

  function restore(unwritten: [id: string, window: Window][]): void {
    for (const [id, { reader, since, answers, users, roles, isTruncated }] of unwritten) {
      const later = windows.get(id);
      if (!later && windows.size >= MAX_READERS) continue;
      const window = later ?? newWindow(reader, since);
      window.since = since;
      window.answers += answers;
      window.isTruncated ||= isTruncated;
      for (const user of users) add(window, window.users, user, MAX_USERS);
      for (const role of roles) add(window, window.roles, role, MAX_ROLES);
      windows.set(id, window);
    }
  }

  return {
    record({ reader, userId, role }) {
      if (reader.name === `user:${userId}`) return;
      const window = windowOf(reader);
      window.answers += 1;
      add(window, window.users, userId, MAX_USERS);
      add(window, window.roles, role, MAX_ROLES);
    },

    async close() {
      clearInterval(timer);
      write(() => true);
      await writing;
    },
  };
}

function idOf({ name, key }: RoleReader): string {
  return `${name} ${key ?? ''}`;
}

function newWindow(reader: RoleReader, since: Date): Window {
  return { reader, since, answers: 0, users: new Set(), roles: new Set(), isTruncated: false };
}

function add(window: Window, to: Set<string>, value: string, max: number): void {
  if (to.size < max || to.has(value)) to.add(value);
  else window.isTruncated = true;
}

function eventOf({ reader, since, answers, users, roles, isTruncated }: Window, until: Date): Effect {
  const { name: actor, key } = reader;
  const counted = {
    ...(key !== null && { key }),
    since,
    until,
    answers,
    users: users.size,
    roles: [...roles].toSorted(),
    isTruncated,
  };
  return audit({ type: 'roles_read', actor, after: counted, origin: NO_ORIGIN });
}
