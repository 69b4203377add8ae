// What this process knows of sessions, users and roles whose tokens are good no more. Knows how old its knowledge is.
import type { Change, Standing, StandingOf } from '../domain/revocation-event.ts';
import { LAST_TOKEN_MS } from './access-token.ts';

export type RevocationView = {
  /** Forgets everything: the history that it was part of has ended. */
  reset(): void;
  apply(changes: Change[]): void;
  /** @param at when this was true: all that had been committed by then has been applied (monotonic, milliseconds) */
  confirm(at: number): void;
  /** How long ago the view was last known to be complete, in milliseconds; Infinity before it ever was. */
  ageMs(): number;
  standing(of: StandingOf): Standing;
  /** How many sessions, users and roles it holds. */
  size(): number;
};

type UserEntry = { staleBelow: number; revokedBelow: number; dropAt: number };
type RoleEntry = { staleBelow: number; dropAt: number };

/** @param clock monotonic, in milliseconds */
export function createRevocationView(clock: () => number = () => performance.now()): RevocationView {
  // In the order of dropAt, because a Map keeps the order of insertion.
  const sessions = new Map<string, number>();
  const users = new Map<string, UserEntry>();
  const roles = new Map<string, RoleEntry>();
  let confirmedAt = Number.NEGATIVE_INFINITY;

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

  function areStale(held: readonly string[], rolesEpoch: number): boolean {
    return roles.size > 0 && held.some((role) => rolesEpoch < (roles.get(role)?.staleBelow ?? 0));
  }

  return {
    reset() {
      for (const entries of [sessions, users, roles]) entries.clear();
      confirmedAt = Number.NEGATIVE_INFINITY;
    },

    apply(changes) {
      // It is heard of after it was made: by then every token that it stops has expired.
      const dropAt = clock() + LAST_TOKEN_MS;
      for (const change of changes) {
        if (change.kind === 'session_ended') {
          sessions.delete(change.sessionId);
          sessions.set(change.sessionId, dropAt);
        } else if (change.kind === 'user_changed') {
          const known = users.get(change.userId);
          users.delete(change.userId);
          users.set(change.userId, {
            staleBelow: Math.max(change.staleBelow, known?.staleBelow ?? 0),
            revokedBelow: Math.max(change.revokedBelow, known?.revokedBelow ?? 0),
            dropAt,
          });
        } else if (change.kind === 'role_changed') {
          const known = roles.get(change.role)?.staleBelow ?? 0;
          roles.delete(change.role);
          roles.set(change.role, { staleBelow: Math.max(change.staleBelow, known), dropAt });
        }
      }
    },

    confirm(at) {
      confirmedAt = at;
      drop(clock());
    },

    ageMs: () => clock() - confirmedAt,

    standing({ sessionId, userId, epoch, roles: held, rolesEpoch }) {
      if (sessions.has(sessionId)) return 'ended';
      const user = users.get(userId);
      if (user && epoch < user.revokedBelow) return 'ended';
      if (user && epoch < user.staleBelow) return 'stale';
      return areStale(held, rolesEpoch) ? 'stale' : 'live';
    },

    size: () => sessions.size + users.size + roles.size,
  };
}
