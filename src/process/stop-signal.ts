// Turns signals into requests to stop. The first begins the stop, and each later one shortens it.
import cluster from 'node:cluster';
import { pause } from '../async/pause.ts';

export type StopSignal = {
  requested: Promise<NodeJS.Signals>;
  /** A later signal ends the wait. */
  delay(milliseconds: number): Promise<void>;
  /** Without an action, a later signal ends the process at once with exit code 1. */
  onRepeat(action: () => void): void;
};

/** Below npm, one Ctrl-C arrives several times: from the terminal, from npm and from its child. */
const SAME_REQUEST_MS = 1_000;

export function listenForStop(): StopSignal {
  const requested = Promise.withResolvers<NodeJS.Signals>();
  const exit = () => process.exit(1);
  let repeat: () => void = exit;
  let acceptedAt = Number.NEGATIVE_INFINITY;
  let isRequested = false;

  function accept(signal: NodeJS.Signals): void {
    if (performance.now() - acceptedAt < SAME_REQUEST_MS) return;
    acceptedAt = performance.now();
    if (isRequested) repeat();
    isRequested = true;
    requested.resolve(signal);
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, accept);
  // The channel to bootstrap.mjs closes when that process ends, even if it was killed. In a worker node:cluster does
  // the same.
  if (cluster.isPrimary && process.send) {
    if (process.connected) process.once('disconnect', () => accept('SIGHUP'));
    else accept('SIGHUP');
  }

  return {
    requested: requested.promise,
    async delay(milliseconds) {
      if (milliseconds === 0) return;
      const repeated = new AbortController();
      repeat = () => repeated.abort();
      await pause(milliseconds, repeated.signal);
      repeat = exit;
    },
    onRepeat(action) {
      repeat = action;
    },
  };
}

/** Returns null when a stop was requested before the start was complete. */
export async function unlessStopped<T>(stop: StopSignal, start: Promise<T>): Promise<T | null> {
  return Promise.race([stop.requested.then(() => null), start]);
}
