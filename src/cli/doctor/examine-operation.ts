// The state of the running deployment, as Postgres has it: what waits for a worker, and which processes have been seen.
import { randomUUID } from 'node:crypto';
import { type Backlog, createOutbox } from '../../store/outbox.ts';
import type { Db } from '../../store/postgres/database.ts';
import { createProcesses, type SeenProcess } from '../../store/postgres/processes.ts';
import { type Finding, ok } from './finding.ts';

/** Three reports. */
const RUNNING_WITHIN_SECONDS = 30;
const LATE_SECONDS = 300;
const CLOCK_WARNING_MS = 5_000;

export async function examineOperation(db: Db): Promise<Finding[]> {
  const backlog = await createOutbox(db, randomUUID).backlog(new Date());
  const seen = await createProcesses(db).seen();
  const running = seen.filter(({ seenSecondsAgo }) => seenSecondsAgo <= RUNNING_WITHIN_SECONDS);
  return [...backlog.map(outboxFinding), workerFinding(seen), releasesFinding(running), clocksFinding(running)];
}

function outboxFinding({ topic, waiting, dead, oldestSeconds }: Backlog): Finding {
  const check = `outbox, ${topic}`;
  const what = `${waiting} waiting, the oldest for ${Math.round(oldestSeconds)} s; ${dead} dead`;
  if (dead > 0) return { check, state: 'warning', what, mend: 'outbox list shows why; outbox retry tries again' };
  if (oldestSeconds <= LATE_SECONDS) return ok(check, what);
  return { check, state: 'warning', what, mend: 'does a worker run, and do Redis and the SMTP server answer?' };
}

function workerFinding(seen: SeenProcess[]): Finding {
  const check = 'worker';
  const [last] = seen.filter(({ worker }) => worker);
  const mend = 'start one: without it no mail is sent and no audit event is recorded';
  if (!last) return { check, state: 'warning', what: 'none has been seen within a day', mend };
  const what = `last seen ${Math.round(last.seenSecondsAgo)} s ago, on ${last.host}`;
  return last.seenSecondsAgo <= RUNNING_WITHIN_SECONDS ? ok(check, what) : { check, state: 'warning', what, mend };
}

function releasesFinding(running: SeenProcess[]): Finding {
  const check = 'releases';
  const releases = [...new Set(running.map(({ release }) => release))].toSorted();
  const processes = running.length === 1 ? '1 process runs' : `${running.length} processes run`;
  if (releases.length <= 1)
    return ok(check, releases[0] ? `${processes} ${releases[0]}` : 'no process has been seen lately');
  return {
    check,
    state: 'warning',
    what: `${processes} ${releases.join(' and ')}`,
    mend: 'fine during a rolling upgrade; otherwise stop the old ones',
  };
}

function clocksFinding(running: SeenProcess[]): Finding {
  const check = 'clocks of the processes';
  const wrong = running.filter(({ clockAheadMs }) => Math.abs(clockAheadMs) > CLOCK_WARNING_MS);
  if (wrong.length === 0) return ok(check, `differ from Postgres's by less than ${CLOCK_WARNING_MS / 1000} s`);
  const what = wrong.map(({ host, clockAheadMs }) => `${host} by ${Math.round(clockAheadMs / 1000)} s`).join(', ');
  return { check, state: 'warning', what: `differ from Postgres's: ${what}`, mend: 'let NTP set the clocks' };
}
