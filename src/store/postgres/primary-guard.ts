// Lets connections to the writable primary through, and no others. One guard is shared by all connections of a process, so
// that what one of them has seen counts for the others.
import type pg from 'pg';
import { OperatorError } from '../../process/operator-error.ts';
import { judgeServer, readServerState, type SeenPrimary, type ServerState } from './server-state.ts';

/** A server that answers, but is not the primary. */
export class NotPrimaryError extends OperatorError {
  override name = 'NotPrimaryError';
}

/** `lostWalBytes`: log that this process has seen and the new primary does not have. */
type TakeOver = { timeline: number; lostWalBytes: number };

export type PrimaryGuardOptions = {
  onTakeOver?: (takeOver: TakeOver) => void;
  /** Receives Postgres's clock with the monotonic times before and after it was read, all in milliseconds. */
  onClock?: (serverNow: number, before: number, after: number) => void;
};

export type PrimaryGuard = {
  /** Whether the last check of the connection is so long ago that it must be repeated before use. */
  isDue(client: pg.ClientBase): boolean;
  /** Whether the connection has been found to lead to the primary before. */
  hasPassed(client: pg.ClientBase): boolean;
  /** @throws NotPrimaryError, or the error of a connection that does not answer */
  check(client: pg.ClientBase): Promise<void>;
  /** Makes every check due: an error has said that the primary may be another server now. */
  distrust(): void;
};

/** How long an answer can come from a server that has stopped being the primary behind an open connection. */
const CHECK_EVERY_MS = 500;
/** A connection that takes longer leads to a server that is gone. */
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
      // The log may grow while this answer travels: it is compared with the log before the question.
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
