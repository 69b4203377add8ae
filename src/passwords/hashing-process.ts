// A storm of sign-ins delays no other call, because a child process at low priority computes the hashes. A process that
// dies is replaced, and its tasks are repeated.
import { type ChildProcess, fork } from 'node:child_process';
import { extname, join } from 'node:path';
import { backoffMs } from '../async/backoff.ts';
import { AuthError } from '../domain/auth-error.ts';
import { RETRY_SOON_MS } from '../domain/retry-after.ts';
import type { Argon2Parameters, Comparison, HashWork, Outcome } from './hash-work.ts';

type Task =
  | { kind: 'hash'; password: string; parameters: Argon2Parameters }
  | { kind: 'compare'; comparison: Comparison };
export type Order = { id: number; task: Task };
export type Answer = { id: number; result: string } | { id: number; error: string };

export type HashingProcess = HashWork & { close(): void };

type Pending = { order: Order; attempts: number; resolve(result: string): void; reject(error: Error): void };

// A published package is compiled, so the extension is that of this file.
const PROGRAM = join(import.meta.dirname, `hashing-main${extname(import.meta.filename)}`);
/** A task that was pending when two processes died is assumed to be the cause. */
const MAX_ATTEMPTS = 2;
const RESTART = { firstMs: 50, maxMs: 5_000 };
const HEALTHY_AFTER_MS = 10_000;

export function startHashingProcess(threads: number, onFailure: (error: Error) => void): HashingProcess {
  const pending = new Map<number, Pending>();
  let nextId = 0;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let child = start();

  /** Null when it could not be started. Another attempt follows, as after a crash. */
  function start(): ChildProcess | null {
    const startedAt = performance.now();
    const env = { UV_THREADPOOL_SIZE: String(threads) };
    try {
      const started = fork(PROGRAM, { env, execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      started.on('message', (answer: Answer) => settle(answer));
      started.on('error', (error) => {
        // Without a process there is no exit to wait for.
        if (started.pid === undefined) startLater(error, startedAt);
      });
      started.once('exit', (code, signal) => {
        if (started.pid !== undefined)
          startLater(new Error(`the hashing process has ended (${signal ?? code})`), startedAt);
      });
      return started;
    } catch (error) {
      startLater(error, startedAt);
      return null;
    }
  }

  function startLater(cause: unknown, startedAt: number): void {
    if (closed) return;
    onFailure(new Error('the hashing process is unavailable', { cause }));
    failures = performance.now() - startedAt > HEALTHY_AFTER_MS ? 0 : failures + 1;
    timer = setTimeout(restart, backoffMs(RESTART, failures));
  }

  function restart(): void {
    child = start();
    for (const [id, task] of pending) {
      if (task.attempts < MAX_ATTEMPTS) send(task);
      else {
        pending.delete(id);
        task.reject(new AuthError('OVERLOADED', { retryAfterMs: RETRY_SOON_MS }));
      }
    }
  }

  function send(task: Pending): void {
    // The next process receives all pending tasks.
    if (!child?.connected) return;
    task.attempts += 1;
    child.send(task.order, () => {});
  }

  function settle(answer: Answer): void {
    const task = pending.get(answer.id);
    pending.delete(answer.id);
    if ('error' in answer) task?.reject(new Error(answer.error));
    else task?.resolve(answer.result);
  }

  function run(task: Task): Promise<string> {
    return new Promise((resolve, reject) => {
      const id = nextId++;
      const pendingTask: Pending = { order: { id, task }, attempts: 0, resolve, reject };
      pending.set(id, pendingTask);
      send(pendingTask);
    });
  }

  return {
    hash: (password, parameters) => run({ kind: 'hash', password, parameters }),
    compare: (comparison) => run({ kind: 'compare', comparison }) as Promise<Outcome>,
    close() {
      closed = true;
      clearTimeout(timer);
      child?.kill('SIGKILL');
      for (const { reject } of pending.values()) reject(new AuthError('OVERLOADED', { retryAfterMs: RETRY_SOON_MS }));
    },
  };
}
