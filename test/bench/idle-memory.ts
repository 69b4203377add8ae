// Resident memory of a server that holds many idle HTTP/2 connections. Each has had one call.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Environment } from '../../src/config/config.ts';
import { rssMegabytes, startProgram } from './harness.ts';

export const IDLE_CONNECTIONS = 10_000;
const MAX_FILES = 2 * IDLE_CONNECTIONS;
const RAISED = ['prlimit', `--nofile=${MAX_FILES}:${MAX_FILES}`];
const SETTLE_MS = 3_000;

export type IdleMemory = { beforeMb: number; afterMb: number };

/**
 * @param script of a server for Node, with its arguments
 * @returns why not, where this user may not have as many files open
 */
export async function idleMemory(
  script: string[],
  environment: Environment,
  accessToken: string,
): Promise<IdleMemory | string> {
  const isAllowed = await promisify(execFile)('prlimit', [...RAISED.slice(1), 'true']).then(
    () => true,
    () => false,
  );
  if (!isAllowed) return `this user may not have ${MAX_FILES} files open`;
  const settings = { ...environment, MAX_CONNECTIONS_PER_PEER: String(MAX_FILES) };
  const server = await startProgram([...RAISED, process.execPath, ...script], settings, null);
  await sleep(SETTLE_MS);
  const beforeMb = rssMegabytes(server.pid);
  const client = ['test/bench/idle-connections.ts', String(server.port), accessToken, String(IDLE_CONNECTIONS)];
  const [program = '', ...args] = [...RAISED, process.execPath, ...client];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  await Promise.race([
    once(child.stdout, 'data'),
    ended.then(([code]) => {
      throw new Error(`the client of idle connections ended with ${code}`);
    }),
  ]);
  await sleep(SETTLE_MS);
  const afterMb = rssMegabytes(server.pid);
  child.kill('SIGKILL');
  await ended;
  await server.stop();
  return { beforeMb, afterMb };
}
