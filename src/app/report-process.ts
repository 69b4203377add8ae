// Reports this process in Postgres with its release and the difference of its clock, for `doctor`.
import { hostname } from 'node:os';
import { atMostEvery } from '../async/rate-gate.ts';
import type { Log } from '../process/log.ts';
import { RELEASE } from '../process/release.ts';
import type { Processes } from '../store/postgres/processes.ts';

export type ReportDeps = {
  processes: Processes;
  id: string;
  parts: { api: boolean; worker: boolean };
  clockAheadMs: () => number;
};

const REPORT_EVERY_MS = 10_000;
const CLOCK_WARNING_MS = 5_000;
const CLOCK_LINE_EVERY_MS = 60_000;

export function reportProcess({ processes, id, parts, clockAheadMs }: ReportDeps, log: Log): () => Promise<void> {
  const warn = atMostEvery(CLOCK_LINE_EVERY_MS, (aheadMs: number) =>
    log.warn({ clock_ahead_ms: Math.round(aheadMs) }, 'the clock of this machine differs from the clock of Postgres'),
  );
  const onError = atMostEvery(CLOCK_LINE_EVERY_MS, (err: unknown) =>
    log.warn({ err }, 'this process cannot be reported'),
  );
  const report = () => {
    const aheadMs = clockAheadMs();
    if (Math.abs(aheadMs) > CLOCK_WARNING_MS) warn(aheadMs);
    return processes.report({ id, ...parts, release: RELEASE, host: hostname(), clockAheadMs: aheadMs }).catch(onError);
  };
  let last = report();
  const timer = setInterval(() => {
    last = report();
  }, REPORT_EVERY_MS);
  return async () => {
    clearInterval(timer);
    await last;
    await processes.remove(id).catch(() => {});
  };
}
