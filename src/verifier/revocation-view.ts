// The revocations in force, in memory: sessions, users and roles with tokens that are revoked or stale. It measures its
// own age.
import type { RevocationEvent } from '../domain/revocation-event.ts';
import type { RevocableToken, RevocationStatus } from '../domain/revocation-status.ts';
import { LAST_TOKEN_MS } from './access-token.ts';

export type RevocationView = {
  /** Called before the view is filled from another history of the database. */
  reset(): void;
  apply(events: RevocationEvent[]): void;
  /** @param at every event that was committed by then has been applied (monotonic, milliseconds) */
  confirm(at: number): void;
  /** Infinity before the view was complete for the first time, and while an event of an unknown kind is in force. */
  ageMs(): number;
  statusOf(token: RevocableToken): RevocationStatus;
  size(): number;
};

type UserEntry = { staleBelow: number; revokedBelow: number; dropAt: number };
type RoleEntry = { staleBelow: number; dropAt: number };

export function createRevocationView(monotonicMs: () => number = () => performance.now()): RevocationView {
  // A Map keeps the order of insertion, so each is sorted by dropAt.
  const sessions = new Map<string, number>();
  const users = new Map<string, UserEntry>();
  const roles = new Map<string, RoleEntry>();
  let confirmedAt = Number.NEGATIVE_INFINITY;
  /** Until then an event of an unknown kind may concern valid tokens. */
  let incompleteUntil = Number.NEGATIVE_INFINITY;

  function drop(now: number): void {
    for (const [id, dropAt] of sessions) {
      if (dropAt > now) break;
      sessions.delete(id);
    }
    for (const entries of [users, roles]) {
      for (const [id, { dropAt }] of entries) {
        if (dropAt > now) break;
        entries.delete(id);
      }
    }
  }

  function holdsStaleRole(held: readonly string[], rolesEpoch: number): boolean {
    // Stryker disable next-line ConditionalExpression,EqualityOperator: the first condition only saves time.
    return roles.size > 0 && held.some((role) => rolesEpoch < (roles.get(role)?.staleBelow ?? 0));
  }

  return {
    reset() {
      for (const entries of [sessions, users, roles]) entries.clear();
      confirmedAt = Number.NEGATIVE_INFINITY;
      incompleteUntil = Number.NEGATIVE_INFINITY;
    },

    apply(events) {
      // An event arrives after its change, so every token that it concerns has expired by then.
      const dropAt = monotonicMs() + LAST_TOKEN_MS;
      for (const event of events) {
        if (event.kind === 'session_ended') {
          sessions.delete(event.sessionId);
          sessions.set(event.sessionId, dropAt);
        } else if (event.kind === 'user_changed') {
          const known = users.get(event.userId);
          users.delete(event.userId);
          users.set(event.userId, {
            staleBelow: Math.max(event.staleBelow, known?.staleBelow ?? 0),
            revokedBelow: Math.max(event.revokedBelow, known?.revokedBelow ?? 0),
            dropAt,
          });
        } else if (event.kind === 'role_changed') {
          const known = roles.get(event.role)?.staleBelow ?? 0;
          roles.delete(event.role);
          roles.set(event.role, { staleBelow: Math.max(event.staleBelow, known), dropAt });
        } else if (event.kind === 'unknown') {
          incompleteUntil = dropAt;
        }
      }
    },

    confirm(at) {
      confirmedAt = at;
      drop(monotonicMs());
    },

    ageMs() {
      const now = monotonicMs();
      return now < incompleteUntil ? Number.POSITIVE_INFINITY : now - confirmedAt;
    },

    statusOf({ sessionId, userId, epoch, roles: held, rolesEpoch }) {
      if (sessions.has(sessionId)) return 'revoked';
      const user = users.get(userId);
      if (user && epoch < user.revokedBelow) return 'revoked';
      if (user && epoch < user.staleBelow) return 'stale';
      return holdsStaleRole(held, rolesEpoch) ? 'stale' : 'active';
    },

    size: () => sessions.size + users.size + roles.size,
  };
}
