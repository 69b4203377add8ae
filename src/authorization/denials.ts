// Roles that somebody asked for and did not hold, for the audit trail: each once in a while, so that a caller who keeps asking
// neither fills the trail nor waits for it.
import type { Origin } from '../domain/audit-event.ts';
import { audit } from '../domain/effect.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import type { Store } from '../store/store.ts';

/** To whom: as audit events name actors. */
export type Denied = { subject: string; role: string };

export function deniedTo(principal: TokenPrincipal, role: string): Denied {
  const { kind } = principal;
  return { subject: kind === 'user' ? `user:${principal.userId}` : `service:${principal.name}`, role };
}

export type Denials = {
  /** Whether the trail has it already, so that nothing more is to be done. */
  isNoted(denied: Denied): boolean;
  /** Never fails: that the trail cannot be written is no reason to answer anything else. */
  note(denied: Denied, origin: Origin): Promise<void>;
};

/** After this long what is denied to somebody is audited again. */
const REMEMBERED_MS = 15 * 60_000;
const MAX_REMEMBERED = 10_000;
/** Of one caller who asks for ever other roles. */
const MAX_PER_SUBJECT = 20;

export function createDenials({ store, now }: { store: Pick<Store, 'outbox'>; now: () => Date }): Denials {
  // In the order of their making, because a Map keeps the order of insertion.
  const subjects = new Map<string, { roles: Set<string>; until: number }>();

  function recall(subject: string): Set<string> | null {
    const found = subjects.get(subject);
    return found && found.until > now().getTime() ? found.roles : null;
  }

  function isNoted({ subject, role }: Denied): boolean {
    const roles = recall(subject);
    return roles !== null && (roles.has(role) || roles.size >= MAX_PER_SUBJECT);
  }

  return {
    isNoted,
    async note(denied, origin) {
      if (isNoted(denied)) return;
      const { subject, role } = denied;
      const roles = recall(subject) ?? new Set();
      if (roles.size === 0) {
        subjects.delete(subject);
        subjects.set(subject, { roles, until: now().getTime() + REMEMBERED_MS });
      }
      roles.add(role);
      for (const oldest of subjects.keys()) {
        if (subjects.size <= MAX_REMEMBERED) break;
        subjects.delete(oldest);
      }
      try {
        const userId = /^user:(.+)$/.exec(subject)?.[1];
        const who = userId === undefined ? { actor: subject } : { userId };
        await store.outbox.write(now(), [audit({ type: 'role_denied', ...who, target: `role:${role}`, origin })]);
      } catch {
        // The next one tries again.
        roles.delete(role);
      }
    },
  };
}
