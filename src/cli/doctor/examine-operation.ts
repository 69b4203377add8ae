// Reads from Postgres the state of the running deployment: waiting outbox entries, and the processes that report
// themselves.
import { randomUUID } from 'node:crypto';
import { type Backlog, createOutbox } from '../../store/outbox.ts';
import type { Db } from '../../store/postgres/database.ts';
import { createProcesses, type SeenProcess } from '../../store/postgres/processes.ts';
import { type Finding, ok } from './finding.ts';

/** Three intervals of src/app/report-process.ts. */
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
  const result = `${waiting} waiting, the oldest for ${Math.round(oldestSeconds)} s; ${dead} dead`;
  if (dead > 0) {
    const remedy = 'run "outbox list" for the errors, and "outbox retry" to send the entries again';
    return { check, state: 'warning', result, remedy };
  }
  if (oldestSeconds <= LATE_SECONDS) return ok(check, result);
  return { check, state: 'warning', result, remedy: 'start a worker, and check Redis and the SMTP server' };
}

function workerFinding(seen: SeenProcess[]): Finding {
  const check = 'worker';
  const [last] = seen.filter(({ worker }) => worker);
  const remedy = 'start a worker: without one no e-mail is sent and no audit event is recorded';
  if (!last) return { check, state: 'warning', result: 'no worker has run within a day', remedy };
  const result = `last seen ${Math.round(last.seenSecondsAgo)} s ago, on ${last.host}`;
  return last.seenSecondsAgo <= RUNNING_WITHIN_SECONDS
    ? ok(check, result)
    : { check, state: 'warning', result, remedy };
}

function releasesFinding(running: SeenProcess[]): Finding {
  const check = 'releases';
  const releases = [...new Set(running.map(({ release }) => release))].toSorted();
  const processes = running.length === 1 ? '1 process runs' : `${running.length} processes run`;
  if (releases.length <= 1) return ok(check, releases[0] ? `${processes} ${releases[0]}` : 'no process runs');
  return {
    check,
    state: 'warning',
    result: `${processes} ${releases.join(' and ')}`,
    remedy: 'outside of a rolling upgrade, stop the processes of the old release',
  };
}

function clocksFinding(running: SeenProcess[]): Finding {
  const check = 'clocks of the processes';
  const wrong = running.filter(({ clockAheadMs }) => Math.abs(clockAheadMs) > CLOCK_WARNING_MS);
  if (wrong.length === 0)
    return ok(check, `differ from the clock of Postgres by less than ${CLOCK_WARNING_MS / 1000} s`);
  const hosts = wrong.map(({ host, clockAheadMs }) => `${host} by ${Math.round(clockAheadMs / 1000)} s`).join(', ');
  const result = `differ from the clock of Postgres: ${hosts}`;
  return { check, state: 'warning', result, remedy: 'let NTP set the clocks' };
}
