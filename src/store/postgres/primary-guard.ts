// All connections of a process share one guard, so that a server state that one of them has read counts for all.
import type pg from 'pg';
import { OperatorError } from '../../process/operator-error.ts';
import { judgeServer, readServerState, type SeenPrimary, type ServerState } from './server-state.ts';

export class NotPrimaryError extends OperatorError {
  override name = 'NotPrimaryError';
}

/** `lostWalBytes` counts the log that this process has seen and the new primary lacks. */
type TakeOver = { timeline: number; lostWalBytes: number };

export type PrimaryGuardOptions = {
  onTakeOver?: (takeOver: TakeOver) => void;
  /** `before` and `after` are the monotonic times around the reading of Postgres's clock, in milliseconds. */
  onClock?: (serverNow: number, before: number, after: number) => void;
};

export type PrimaryGuard = {
  isDue(client: pg.ClientBase): boolean;
  hasPassed(client: pg.ClientBase): boolean;
  /** @throws NotPrimaryError, or the error of a connection that does not answer */
  check(client: pg.ClientBase): Promise<void>;
  distrust(): void;
};

/** How long an open connection can return answers of a former primary. */
const CHECK_EVERY_MS = 500;
/** A slower check means that the server is unreachable. */
const CHECK_TIMEOUT_MS = 2_000;

export function createPrimaryGuard({ onTakeOver, onClock }: PrimaryGuardOptions = {}): PrimaryGuard {
  const checkedAt = new WeakMap<pg.ClientBase, number>();
  let seen: SeenPrimary | null = null;
  let distrustedAt = Number.NEGATIVE_INFINITY;

  function note(found: ServerState, tookOver: boolean): void {
    const { systemIdentifier, startedAt, position } = found;
    if (!position) return;
    const isNewer = !seen || (position.timeline === seen.position.timeline && position.lsn > seen.position.lsn);
    if (tookOver || isNewer) seen = { systemIdentifier, startedAt, position };
  }

  return {
    isDue(client) {
      const at = checkedAt.get(client) ?? Number.NEGATIVE_INFINITY;
      return at <= distrustedAt || performance.now() - at > CHECK_EVERY_MS;
    },

    hasPassed: (client) => checkedAt.has(client),

    async check(client) {
      // The log can grow during the check, so the check compares with the state before it.
      const [seenBefore, before] = [seen, performance.now()];
      const found = await readServerState(client, CHECK_TIMEOUT_MS);
      const judgement = judgeServer(found, seenBefore);
      if (!judgement.isPrimary) throw new NotPrimaryError(`Postgres cannot be written to: ${judgement.problem}`);
      onClock?.(found.now, before, performance.now());
      const isFirstToSee = judgement.tookOver && seen === seenBefore;
      note(found, isFirstToSee);
      checkedAt.set(client, before);
      if (isFirstToSee && found.position) {
        onTakeOver?.({ timeline: found.position.timeline, lostWalBytes: judgement.lostWalBytes });
      }
    },

    distrust() {
      distrustedAt = performance.now();
    },
  };
}
