// Roles that callers have read by user id, for the audit trail: each "yes" is counted, and each caller has one event in a quarter of an
// hour, so that a caller who asks a million times neither fills the trail nor waits for it.
import { audit, type Effect } from '../domain/effect.ts';
import type { Store } from '../store/store.ts';

/** A user who holds a role, and the caller who has read that, as audit events name actors. */
export type RoleRead = { reader: string; userId: string; role: string };

export type RoleReads = {
  note(read: RoleRead): void;
  /** Writes what is counted and not written yet. Nothing may be noted after it. */
  close(): Promise<void>;
};

type Window = { since: Date; answers: number; users: Set<string>; roles: Set<string>; isTruncated: boolean };

const WINDOW_MS = 15 * 60_000;
const LOOK_EVERY_MS = 5_000;
const MAX_READERS = 200;
/** Of one caller in one window. */
const MAX_USERS = 1_000;
const MAX_ROLES = 20;
/** Many calls of many clients. */
const NOWHERE = { address: '', userAgent: '', requestId: '' };

export function createRoleReads({ store, now }: { store: Pick<Store, 'outbox'>; now: () => Date }): RoleReads {
  // By reader; in the order of their beginning, because a Map keeps the order of insertion.
  const windows = new Map<string, Window>();
  let writing: Promise<void> = Promise.resolve();
  const isOver = ({ since }: Window) => now().getTime() - since.getTime() >= WINDOW_MS;
  const timer = setInterval(() => write(isOver), LOOK_EVERY_MS);
  timer.unref();

  function windowOf(reader: string): Window {
    const open = windows.get(reader);
    if (open && !isOver(open)) return open;
    if (open) write((one) => one === open);
    else if (windows.size >= MAX_READERS) {
      const [oldest] = windows.values();
      write((one) => one === oldest);
    }
    const window = newWindow(now());
    windows.set(reader, window);
    return window;
  }

  /** In the background, one after the other. */
  function write(isDue: (window: Window) => boolean): void {
    const due = [...windows].filter(([, window]) => isDue(window));
    if (due.length === 0) return;
    for (const [reader] of due) windows.delete(reader);
    writing = writing.then(async () => {
      const at = now();
      const events = due.map(([reader, window]) => eventOf(reader, window, at));
      await store.outbox.write(at, events).catch(() => keep(due));
    });
  }

  /** For the next try. */
  function keep(unwritten: [reader: string, window: Window][]): void {
    for (const [reader, { since, answers, users, roles, isTruncated }] of unwritten) {
      const later = windows.get(reader);
      if (!later && windows.size >= MAX_READERS) continue;
      const window = later ?? newWindow(since);
      window.since = since;
      window.answers += answers;
      window.isTruncated ||= isTruncated;
      for (const user of users) add(window, window.users, user, MAX_USERS);
      for (const role of roles) add(window, window.roles, role, MAX_ROLES);
      windows.set(reader, window);
    }
  }

  return {
    note({ reader, userId, role }) {
      if (reader === `user:${userId}`) return;
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

function newWindow(since: Date): Window {
  return { since, answers: 0, users: new Set(), roles: new Set(), isTruncated: false };
}

function add(window: Window, to: Set<string>, value: string, max: number): void {
  if (to.size < max || to.has(value)) to.add(value);
  else window.isTruncated = true;
}

function eventOf(actor: string, { since, answers, users, roles, isTruncated }: Window, until: Date): Effect {
  const counted = { since, until, answers, users: users.size, roles: [...roles].toSorted(), isTruncated };
  return audit({ type: 'roles_read', actor, after: counted, origin: NOWHERE });
}
