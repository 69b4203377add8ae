// One `serve` or `worker` process, with a cable to each of its dependencies.
import { readFileSync } from 'node:fs';
import type { Environment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { type Cable, layCable } from '../support/cable.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from './operator.ts';
import { type Program, startProgram } from './program.ts';

export type Dependency = 'postgres' | 'standby' | 'pooler' | 'redis' | 'smtp';
export type Cables = Record<Dependency, Cable>;

export type ServiceNode = {
  name: string;
  kind: 'serve' | 'worker';
  cables: Cables;
  /** Between clients and the API. */
  front: Cable;
  /** The same, for a connection whose response may be lost. */
  lossy: Cable;
  /** @param changes to its environment, until the next start */
  start(changes?: Changes): Promise<void>;
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<void>;
  kill(): Promise<void>;
  freeze(): void;
  thaw(): void;
  isRunning(): boolean;
  output(): string;
  residentMegabytes(): number;
  close(): Promise<void>;
};

type Changes = {
  environment?: Environment;
  /** The folder of another release. */
  root?: string;
};

type Parts = {
  name: string;
  kind: 'serve' | 'worker';
  targets: Record<Dependency, number>;
  /** @param ports of its cables */
  environment: (ports: Record<Dependency, number>) => Environment;
};

const START_TIMEOUT_MS = 60_000;

export async function createNode({ name, kind, targets, environment }: Parts): Promise<ServiceNode> {
  const port = kind === 'serve' ? await freePort() : 0;
  const pairs = Object.entries(targets).map(async ([to, target]) => [to, await layCable(target)] as const);
  const cables = Object.fromEntries(await Promise.all(pairs)) as Cables;
  const [front, lossy] = await Promise.all([layCable(port), layCable(port)]);
  let program: Program | null = null;
  let earlier = '';
  const isRunning = () => program !== null && !program.hasExited();

  return {
    name,
    kind,
    cables,
    front,
    lossy,
    isRunning,
    async start(changes = {}) {
      if (isRunning()) return;
      earlier += program?.output() ?? '';
      const env = { ...environment(portsOf(cables)), PORT: String(port), ...changes.environment };
      program = startProgram(process.execPath, [`${changes.root ?? ROOT}/src/main.ts`, kind], { environment: env });
      const started = program;
      await eventually(() => {
        if (started.hasExited()) throw new Error(`${name} did not start:\n${started.output().slice(-2_000)}`);
        return /"msg":"started"/.test(started.output());
      }, START_TIMEOUT_MS);
    },
    stop: async () => program?.end('SIGTERM', START_TIMEOUT_MS),
    kill: async () => program?.end('SIGKILL'),
    freeze: () => program?.signalAll('SIGSTOP'),
    thaw: () => program?.signalAll('SIGCONT'),
    output: () => earlier + (program?.output() ?? ''),
    residentMegabytes: () => (isRunning() ? residentMegabytes(program?.pid ?? 0) : 0),
    async close() {
      await program?.end('SIGKILL');
      await Promise.all([...Object.values(cables), front, lossy].map((cable) => cable.close()));
    },
  };
}

function portsOf(cables: Cables): Record<Dependency, number> {
  const ports = Object.entries(cables).map(([name, { port }]) => [name, port]);
  return Object.fromEntries(ports);
}

function residentMegabytes(pid: number): number {
  try {
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
  } catch {
    return 0;
  }
}
