// `serve --workers`: supervises API processes that share one port, replaces those that end, and stops all of them
// together.
import cluster, { type Worker } from 'node:cluster';
import { availableParallelism } from 'node:os';
import { backoffMs } from '../async/backoff.ts';
import type { Log, LogLine } from './log.ts';
import { OperatorError } from './operator-error.ts';
import type { StopSignal } from './stop-signal.ts';

export type Supervision = {
  count: number;
  /** Additional variables of one process. @param slot from 0; a replacement has the slot of its predecessor */
  environment(slot: number): Record<string, string>;
  killAfterMs: number;
  ports: WorkerPorts;
  observer: WorkerObserver;
};

/** Connects the workers to the ports that they share. */
export type WorkerPorts = {
  /** @param onListening receives the main port once the worker accepts connections there */
  add(worker: Worker, onListening: (port: number) => void): void;
  /** The worker has ended. */
  remove(worker: Worker): void;
};

export type WorkerObserver = {
  started(worker: Worker, slot: number): void;
  /** The worker accepts connections. */
  listening(worker: Worker): void;
  /** @param isExpected whether the worker ended because of a stop */
  ended(worker: Worker, isExpected: boolean): void;
};

const RESTART = { firstMs: 100, maxMs: 30_000 };
/** The end of a worker that has run for this long does not count as a repeated failure. */
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
 * Runs until a signal requests the stop and every worker has finished.
 * @throws OperatorError when no worker can start, or when a worker failed while it stopped
 */
export async function superviseWorkers(
  { count, environment, killAfterMs, ports, observer }: Supervision,
  log: Log,
  stopSignal: StopSignal,
): Promise<void> {
  const slots = new Map<Worker, number>();
  const timers = new Set<NodeJS.Timeout>();
  const allEnded = Promise.withResolvers<void>();
  let stopping = false;
  let hasEverListened = false;
  let hasFailed = false;
  let failures = 0;

  function start(): void {
    if (stopping) return;
    const startedAt = performance.now();
    const taken = new Set(slots.values());
    let slot = 0;
    while (taken.has(slot)) slot += 1;
    let worker: Worker;
    try {
      worker = cluster.fork(environment(slot));
    } catch (error) {
      startLater(startedAt, { err: error });
      return;
    }
    slots.set(worker, slot);
    observer.started(worker, slot);
    ports.add(worker, (port) => {
      if (!hasEverListened) log.info({ port, workers: count }, 'serving');
      hasEverListened = true;
      observer.listening(worker);
    });
    worker.on('error', (error) => {
      // A process that was never created has no exit event.
      if (worker.process.pid === undefined && slots.has(worker)) onEnd(worker, startedAt, { err: error });
    });
    worker.once('exit', (code, signal) => {
      // A worker that has only begun to start does not catch SIGTERM yet.
      hasFailed ||= stopping && code !== 0 && signal !== 'SIGTERM';
      if (slots.has(worker)) onEnd(worker, startedAt, { pid: worker.process.pid, exit_code: String(signal ?? code) });
    });
  }

  function onEnd(worker: Worker, startedAt: number, logFields: LogLine): void {
    slots.delete(worker);
    ports.remove(worker);
    observer.ended(worker, stopping);
    if (!stopping) startLater(startedAt, logFields);
    else if (slots.size === 0) allEnded.resolve();
  }

  function startLater(startedAt: number, logFields: LogLine): void {
    if (!hasEverListened) {
      stop(true);
      return;
    }
    failures = performance.now() - startedAt > HEALTHY_AFTER_MS ? 0 : failures + 1;
    const delayMs = backoffMs(RESTART, failures);
    log.error({ ...logFields, retry_ms: delayMs }, 'a worker has ended; another one starts soon');
    const timer = setTimeout(() => {
      timers.delete(timer);
      start();
    }, delayMs);
    timers.add(timer);
  }

  function signalAll(signal: 'SIGTERM' | 'SIGKILL'): void {
    for (const worker of slots.keys()) worker.process.kill(signal);
  }

  function stop(hasFailedToStart: boolean): void {
    if (stopping) return;
    stopping = true;
    hasFailed = hasFailedToStart;
    for (const timer of timers) clearTimeout(timer);
    signalAll('SIGTERM');
    stopSignal.onRepeat(() => signalAll('SIGTERM'));
    setTimeout(() => signalAll('SIGKILL'), killAfterMs).unref();
    if (slots.size === 0) allEnded.resolve();
  }

  for (let n = 0; n < count; n += 1) start();
  void stopSignal.requested.then((signal) => {
    log.info({ signal }, 'stopping');
    stop(false);
  });
  await allEnded.promise;
  if (hasFailed) throw new OperatorError('a worker has failed; its error is printed above');
}
