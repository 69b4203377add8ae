// A program of a deployment: it ends with the harness, and can receive signals that a supervisor would not send.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Environment } from '../../src/config/config.ts';
import { wrapUnprivileged } from '../../src/dev/owned-process.ts';

export type Program = {
  pid: number;
  /** The end of its output. */
  output(): string;
  hasExited(): boolean;
  /** Sends a signal to the program and to the processes below it. */
  signalAll(signal: NodeJS.Signals): void;
  /** Sends a signal to the program alone and waits for its end; after `killAfterMs` it is killed. */
  end(signal: NodeJS.Signals, killAfterMs?: number): Promise<void>;
};

type ProgramOptions = {
  environment?: Environment;
  input?: string;
  /** Runs it as another user where this process is root. */
  unprivileged?: boolean;
  /** Precedes the command, such as `unshare`. */
  prefix?: string[];
};

/** Saves each start the compilation of the service. */
const NODE_COMPILE_CACHE = resolve('.latchkey/compile-cache');
const SETPRIV = '/usr/bin/setpriv';
const KEPT_OUTPUT = 200_000;
const KILL_AFTER_MS = 20_000;

export function startProgram(command: string, args: string[], options: ProgramOptions = {}): Program {
  const { environment = {}, input = '', unprivileged = false, prefix = [] } = options;
  const [, ...privileges] = unprivileged ? wrapUnprivileged() : [];
  const dieWithParent = existsSync(SETPRIV) ? [SETPRIV, ...privileges, '--pdeathsig=KILL'] : [];
  const [program = command, ...rest] = [...prefix, ...dieWithParent, command, ...args];
  const child = spawn(program, rest, {
    detached: true,
    env: { NODE_COMPILE_CACHE, ...environment } as NodeJS.ProcessEnv,
    stdio: 'pipe',
  });
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-KEPT_OUTPUT);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('error', (error) => keep(Buffer.from(error.message)));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const hasExited = () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0,
    output: () => output,
    hasExited,
    signalAll(signal) {
      for (const pid of hasExited() ? [] : [...descendantsOf(child.pid as number), child.pid as number])
        send(pid, signal);
    },
    async end(signal, killAfterMs = KILL_AFTER_MS) {
      if (hasExited()) return;
      // A stopped process handles no other signal.
      for (const pid of [child.pid as number, ...descendantsOf(child.pid as number)]) send(pid, 'SIGCONT');
      child.kill(signal);
      const kill = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      await ended;
      clearTimeout(kill);
    },
  };
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function descendantsOf(pid: number): number[] {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === pid);
  return children.flatMap((child) => [...descendantsOf(Number(child)), Number(child)]);
}

function parentOf(pid: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);
  } catch {
    return 0;
  }
}
