// The client of grpc-go in grpc-go/main.go, which calls several servers in turn and counts the calls that fail.
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { build, isAtHand, type Project } from '../support/toolchain.ts';

const PROGRAM = resolve(join(PROGRAM_CACHE, 'gateways', 'grpc-go'));
const GO: Project = {
  name: 'Go',
  folder: 'test/gateways/grpc-go',
  probe: ['go', 'version'],
  build: [['go', 'build', '-o', PROGRAM, '.']],
};

type GoCounts = { calls: number; connections: number; failures: Record<string, number> };
export type GoCaller = {
  counts(): GoCounts;
  /** @returns the last counts */
  stop(): Promise<GoCounts>;
  kill(): void;
};

/** @returns whether the client is built now, which needs a toolchain of Go */
export async function buildGoCaller(): Promise<boolean> {
  if (!(await isAtHand(GO))) return false;
  await build(GO);
  return true;
}

export function startGoCaller(ports: number[], accessToken: string): GoCaller {
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const child = spawn(PROGRAM, addresses, { stdio: ['pipe', 'pipe', 'inherit'] });
  let counts: GoCounts = { calls: 0, connections: 0, failures: {} };
  createInterface({ input: child.stdout }).on('line', (line) => {
    counts = JSON.parse(line);
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.stdin.write(`${accessToken}\n`);
  return {
    counts: () => counts,
    async stop() {
      child.stdin.end();
      await ended;
      return counts;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
