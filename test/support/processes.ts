// The service as an operator runs it: processes of their own, stopped by signals.
import { type ChildProcess, spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';
import type { Environment } from '../../src/config.ts';
import { eventually } from './eventually.ts';

export type RunningProcess = {
  child: ChildProcess;
  output(): string;
  /** The exit code, or the signal that ended it. */
  ended: Promise<number | string>;
};

/** `node src/main.ts <args>`, with this environment and nothing else. */
export function runMain(args: string[], environment: Environment): RunningProcess {
  return run(process.execPath, ['src/main.ts', ...args], environment);
}

export function run(command: string, args: string[], environment: Environment, cwd = process.cwd()): RunningProcess {
  const child = spawn(command, args, { cwd, env: environment as NodeJS.ProcessEnv, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal ?? -1)),
  );
  return { child, output: () => output, ended };
}

/** Starts `serve` and waits until it listens. */
export async function serve(environment: Environment): Promise<RunningProcess & { url: string }> {
  const running = runMain(['serve'], environment);
  const port = await eventually(() => {
    if (running.child.exitCode !== null) throw new Error(running.output());
    return /"port":(\d+)/.exec(running.output())?.[1];
  }, 20_000);
  return { ...running, url: `http://127.0.0.1:${port}` };
}
