// The service as an operator runs it: processes of their own, stopped by signals.
import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import type { Environment } from '../../src/config/config.ts';
import { eventually } from './eventually.ts';

export type RunningProcess = {
  child: ChildProcess;
  output(): string;
  /** The exit code, or the signal that ended it. */
  ended: Promise<number | string>;
};

/** Saves each process that a test starts the compilation of the service. */
const NODE_COMPILE_CACHE = resolve('.latchkey/compile-cache');

/** Without it, commands of root warn that their actor names no person. */
const OPERATOR = 'tester';

/** Processes that a test has left running end with its file. */
const running = new Set<() => void>();
process.once('exit', () => {
  for (const kill of running) kill();
});

/** `node src/main.ts <args>`, with this environment and nothing else. */
export function runMain(args: string[], environment: Environment): RunningProcess {
  return run(process.execPath, ['src/main.ts', ...args], environment);
}

/** @param inOwnGroup as a terminal does it, so that Ctrl-C can be sent to all of the group */
export function run(command: string, args: string[], environment: Environment, inOwnGroup = false): RunningProcess {
  const child = spawn(command, args, {
    detached: inOwnGroup,
    env: { NODE_COMPILE_CACHE, OPERATOR, ...environment } as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  const kill = () => (inOwnGroup ? process.kill(-(child.pid as number), 'SIGKILL') : child.kill('SIGKILL'));
  running.add(kill);
  child.once('close', () => running.delete(kill));
  const ended = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal ?? -1)),
  );
  return { child, output: () => output, ended };
}

/** Starts `serve` and waits until it listens. */
export async function serve(environment: Environment): Promise<RunningProcess & { url: string }> {
  const server = runMain(['serve'], environment);
  const port = await eventually(() => {
    if (server.child.exitCode !== null) throw new Error(server.output());
    return /"port":(\d+)/.exec(server.output())?.[1];
  }, 60_000);
  return { ...server, url: `http://127.0.0.1:${port}` };
}
