import type { Worker } from 'node:cluster';
import { waitAtMost } from '../async/wait-at-most.ts';
import { combineMetrics, onlyCumulative, type Snapshot, type Source } from './combine-metrics.ts';
import { REQUEST, snapshotOf } from './worker-channel.ts';

type Member = {
  slot: number;
  isListening: boolean;
  isUp: boolean;
  last: Snapshot;
  /** At most one request is on its way, so that requests do not pile up at a worker that hangs. */
  request: PromiseWithResolvers<void> | null;
};

export type WorkerSnapshots = {
  started(worker: Worker, slot: number): void;
  listening(worker: Worker): void;
  ended(worker: Worker): void;
  /** Requests the metrics of each worker, and waits for a bounded time. */
  collect(): Promise<void>;
  /** Has every slot, also while its worker is being replaced. */
  states(): { slot: number; isUp: boolean }[];
  /** The values of the last collection. The counters of a worker that hangs or has ended stay. */
  sources(): Source[];
};

/** Prometheus waits for ten seconds unless its configuration differs. */
const WAIT_MS = 1_000;

/** @param onChange receives each worker that does not answer, and each that answers again */
export function createWorkerSnapshots(
  onChange: (worker: Worker, slot: number, isUp: boolean) => void,
): WorkerSnapshots {
  const members = new Map<Worker, Member>();
  const slots = new Set<number>();
  let ended: Snapshot = [];

  async function poll(worker: Worker, member: Member): Promise<void> {
    if (!member.isListening) return;
    if (!member.request) {
      member.request = Promise.withResolvers();
      worker.send(REQUEST, () => {});
    }
    await waitAtMost(WAIT_MS, member.request.promise);
    const isUp = member.request === null;
    if (isUp !== member.isUp && members.has(worker)) onChange(worker, member.slot, isUp);
    member.isUp = isUp;
  }

  return {
    started(worker, slot) {
      const member: Member = { slot, isListening: false, isUp: false, last: [], request: null };
      members.set(worker, member);
      slots.add(slot);
      worker.on('message', (message: unknown) => {
        const snapshot = snapshotOf(message);
        if (snapshot === null) return;
        member.last = snapshot;
        member.request?.resolve();
        member.request = null;
      });
    },
    listening(worker) {
      const member = members.get(worker);
      if (member) [member.isListening, member.isUp] = [true, true];
    },
    ended(worker) {
      const member = members.get(worker);
      if (!member) return;
      members.delete(worker);
      member.request?.resolve();
      ended = combineMetrics([ended, onlyCumulative(member.last)].map((snapshot) => ({ worker: '', snapshot })));
    },
    async collect() {
      await Promise.all([...members].map(([worker, member]) => poll(worker, member)));
    },
    states: () => {
      const up = new Set([...members.values()].filter(({ isUp }) => isUp).map(({ slot }) => slot));
      return [...slots].map((slot) => ({ slot, isUp: up.has(slot) }));
    },
    sources: () => [
      { worker: '', snapshot: ended },
      ...[...members.values()].map(({ slot, isUp, last }) => ({
        worker: String(slot),
        snapshot: isUp ? last : onlyCumulative(last),
      })),
    ],
  };
}
