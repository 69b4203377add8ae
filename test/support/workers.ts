// `serve --workers` as a test sees it from outside: its processes, and the connections of each.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import { eventually } from './eventually.ts';
import { type RunningProcess, run, runMain } from './processes.ts';

export type Workers = RunningProcess & { port: number; url: string };

const ESTABLISHED = '01';

/** Starts the service, and waits until all workers listen. The end of the test ends it. */
export function serveInWorkers(count: string, environment: Environment): Promise<Workers> {
  return started(runMain(['serve', '--workers', count], environment));
}

/** The same without the service: each worker answers any request with its process id. */
export function startBareWorkers(count: number): Promise<Workers> {
  return started(run(process.execPath, ['test/support/bare-workers.ts', String(count)], {}));
}

async function started(server: RunningProcess): Promise<Workers> {
  onTestFinished(async () => {
    server.child.kill('SIGKILL');
    await server.ended;
  });
  const port = await eventually(() => {
    if (server.child.exitCode !== null) throw new Error(server.output());
    return /"port":(\d+),"workers"/.exec(server.output())?.[1];
  }, 60_000);
  await eventually(() => startsOf(server) === workersOf(server).length, 60_000);
  return { ...server, port: Number(port), url: `http://127.0.0.1:${port}` };
}

/** The number of workers that have started, with those that have ended since. */
export function startsOf({ output }: RunningProcess): number {
  return output().match(/"msg":"started"/g)?.length ?? 0;
}

/** The workers, without hashing processes. */
export function workersOf({ child }: RunningProcess): number[] {
  const table = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(child.pid)], { encoding: 'utf8' });
  return table
    .split('\n')
    .filter((line) => /main\.ts|bare-workers\.ts/.test(line))
    .map((line) => Number.parseInt(line, 10));
}

/** The number of established connections that each worker has to the port, in ascending order. */
export function spreadOf(server: RunningProcess, port: number): number[] {
  return workersOf(server)
    .map((pid) => connectionsOf(pid, port))
    .toSorted((a, b) => a - b);
}

/** Established connections to the port that the process has open, as the kernel reports them. */
export function connectionsOf(pid: number, port: number): number {
  const rows = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8').split('\n').slice(1));
  const ofPort = new Set<string>();
  for (const row of rows) {
    const [, local = '', , state, , , , , , inode] = row.trim().split(/\s+/);
    if (state === ESTABLISHED && Number.parseInt(local.split(':')[1] ?? '', 16) === port)
      ofPort.add(`socket:[${inode}]`);
  }
  return descriptorsOf(pid).filter((target) => ofPort.has(target)).length;
}

function descriptorsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${name}`)];
    } catch {
      // It was closed in the meantime.
      return [];
    }
  });
}
