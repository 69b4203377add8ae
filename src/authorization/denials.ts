// The folder authorization owns the audit trail of denied roles and of roles that callers read. It must not decide
// whether a role is granted. A role is recorded at most once in a quarter of an hour, so that a caller who repeats a
// request neither fills the trail nor waits for it.
import type { Origin } from '../domain/audit-event.ts';
import { audit } from '../domain/effect.ts';
import { createExpiringMap } from '../domain/expiring-map.ts';
import { subjectName, type TokenPrincipal } from '../domain/principal.ts';
import type { Store } from '../store/store.ts';

/** `subject` is a `subjectName`. */
export type Denial = { subject: string; role: string };

export function denialOf(principal: TokenPrincipal, role: string): Denial {
  return { subject: subjectName(principal), role };
}

export type Denials = {
  /** Whether the denial is in the audit trail, or beyond the bound of its subject. */
  isRecorded(denial: Denial): boolean;
  /** Does not throw: a call is answered even when the audit trail cannot be written. */
  record(denial: Denial, origin: Origin): Promise<void>;
};

const RECORDED_MS = 15 * 60_000;
const MAX_SUBJECTS = 10_000;
/** Bounds a caller who requests many different roles. */
const MAX_ROLES_PER_SUBJECT = 20;

export function createDenials({ store, now }: { store: Pick<Store, 'outbox'>; now: () => Date }): Denials {
  const subjects = createExpiringMap<Set<string>>(MAX_SUBJECTS, () => now().getTime());

  function isRecorded({ subject, role }: Denial): boolean {
    const roles = subjects.get(subject);
    return roles !== null && (roles.has(role) || roles.size >= MAX_ROLES_PER_SUBJECT);
  }

  return {
    isRecorded,
    async record(denial, origin) {
      if (isRecorded(denial)) return;
      const { subject, role } = denial;
      const roles = subjects.get(subject) ?? new Set();
      if (roles.size === 0) subjects.set(subject, roles, now().getTime() + RECORDED_MS);
      roles.add(role);
      try {
        const userId = /^user:(.+)$/.exec(subject)?.[1];
        const who = userId === undefined ? { actor: subject } : { userId };
        await store.outbox.write(now(), [audit({ type: 'role_denied', ...who, target: `role:${role}`, origin })]);
      } catch {
        // The next denial tries again.
        roles.delete(role);
      }
    },
  };
}
