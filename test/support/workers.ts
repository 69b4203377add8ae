// `serve --workers` as a test sees it from outside: its processes, and the connections of each.
import { execFileSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import { connectionsOf } from './connections-of.ts';
import { eventually } from './eventually.ts';
import { type RunningProcess, run, runMain } from './processes.ts';

export type Workers = RunningProcess & { port: number; url: string };

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
