import { readFileSync } from 'node:fs';

/** How long the main thread of a process has run on a core so far, in milliseconds. Linux only. */
export function mainThreadMs(pid: number): number {
  const [nanoseconds = ''] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ', 1);
  return Number(nanoseconds) / 1e6;
}
