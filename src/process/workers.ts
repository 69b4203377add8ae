// `serve --workers`: supervises API processes that share one port. It replaces processes that end, and stops all of them together.
import cluster, { type Worker } from 'node:cluster';
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { backoffMs } from '../async/backoff.ts';
import { OperatorError } from './operator-error.ts';
import type { StopSignal } from './stop-signal.ts';

export type Supervision = {
  count: number;
  /** Additional variables of one process. @param place from 0; a replacement has the same */
  environment(place: number): Record<string, string>;
  /** A worker that has not stopped after this time is killed. */
  killAfterMs: number;
};

const RESTART = { firstMs: 100, maxMs: 30_000 };
/** A worker that has lived this long was fine. */
const HEALTHY_AFTER_MS = 60_000;

/** @throws OperatorError */
export function parseWorkers(text: string): number {
  if (text === 'auto') return availableParallelism();
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1024) {
    throw new OperatorError('--workers must be "auto" or a number from 1 to 1024');
  }
  return count;
}

/**
 * Runs until a signal requests the end and every worker has finished.
 * @throws OperatorError when a worker cannot start at all, and when one did not end well
 */
export async function superviseWorkers(
  { count, environment, killAfterMs }: Supervision,
  log: Logger,
  stopSignal: StopSignal,
): Promise<void> {
  /** With the place of each. */
  const running = new Map<Worker, number>();
  const timers = new Set<NodeJS.Timeout>();
  const allEnded = Promise.withResolvers<void>();
  let stopping = false;
  let hasEverListened = false;
  let hasFailed = false;
  let failures = 0;

  function start(): void {
    if (stopping) return;
    const startedAt = performance.now();
    const taken = new Set(running.values());
    let place = 0;
    while (taken.has(place)) place += 1;
    let worker: Worker;
    try {
      worker = cluster.fork(environment(place));
    } catch (error) {
      startLater(startedAt, { err: error });
      return;
    }
    running.set(worker, place);
    worker.once('listening', ({ port }) => {
      if (!hasEverListened) log.info({ port, workers: count }, 'serving');
      hasEverListened = true;
    });
    worker.on('error', (error) => {
      // Without a process there is no exit to wait for.
      if (worker.process.pid === undefined && running.has(worker)) onEnd(worker, startedAt, { err: error });
    });
    worker.once('exit', (code, signal) => {
      // One that has only begun to start does not catch the signal yet.
      hasFailed ||= stopping && code !== 0 && signal !== 'SIGTERM';
      if (running.has(worker)) onEnd(worker, startedAt, { pid: worker.process.pid, code: signal ?? code });
    });
  }

  function onEnd(worker: Worker, startedAt: number, how: object): void {
    running.delete(worker);
    if (!stopping) startLater(startedAt, how);
    else if (running.size === 0) allEnded.resolve();
  }

  function startLater(startedAt: number, how: object): void {
    if (!hasEverListened) {
      stop(true);
      return;
    }
    failures = performance.now() - startedAt > HEALTHY_AFTER_MS ? 0 : failures + 1;
    const delayMs = backoffMs(RESTART, failures);
    log.error({ ...how, duration_ms: delayMs }, 'a worker has died; the next one starts soon');
    const timer = setTimeout(() => {
      timers.delete(timer);
      start();
    }, delayMs);
    timers.add(timer);
  }

  function signalAll(signal: 'SIGTERM' | 'SIGKILL'): void {
    for (const worker of running.keys()) worker.process.kill(signal);
  }

  function stop(hasFailedToStart: boolean): void {
    if (stopping) return;
    stopping = true;
    hasFailed = hasFailedToStart;
    for (const timer of timers) clearTimeout(timer);
    signalAll('SIGTERM');
    // Each worker decides by itself what a later signal shortens.
    stopSignal.onRepeat(() => signalAll('SIGTERM'));
    setTimeout(() => signalAll('SIGKILL'), killAfterMs).unref();
    if (running.size === 0) allEnded.resolve();
  }

  for (let n = 0; n < count; n += 1) start();
  void stopSignal.requested.then((signal) => {
    log.info({ signal }, 'stopping');
    stop(false);
  });
  await allEnded.promise;
  if (hasFailed) throw new OperatorError('a worker has failed; what it said stands above');
}
