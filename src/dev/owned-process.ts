// Programs that this process starts and that must not outlive it.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export type OwnedProcess = {
  /** The last output, for the error message. */
  output(): string;
  hasExited(): boolean;
  /** Resolves when it has ended: whether its exit code is 0. */
  succeeded: Promise<boolean>;
  /** Sends the signal and waits for the end. */
  stop(): Promise<void>;
};

export type OwnedOptions = {
  /** Ends the program in good order. */
  stopSignal: 'SIGINT' | 'SIGTERM';
  /** Written to its standard input. */
  input?: string;
  /** Where its libraries are, if they are not the system's. */
  libraryPath?: string;
  /** Runs it as another user when this process is root, for programs that refuse to run as root. */
  unprivileged?: boolean;
};

/** Those that run. Where the kernel sends no signal at this process's death, they get one at its exit. */
const running = new Map<ChildProcess, OwnedOptions['stopSignal']>();
process.once('exit', () => {
  for (const [child, signal] of running) child.kill(signal);
});

/** From Debian's essential package util-linux. */
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));
const KEPT_OUTPUT = 4_000;
/** After this long it hangs. */
const STOP_TIMEOUT_MS = 10_000;

/**
 * In a process group of its own, so that Ctrl-C reaches this process alone and it can stop things in order; and, on Linux,
 * with a signal from the kernel should this process die without a word.
 */
export function startOwned(command: string, args: string[], options: OwnedOptions): OwnedProcess {
  const [program, prefix] = wrap(command, options);
  const env = options.libraryPath ? { LD_LIBRARY_PATH: options.libraryPath } : {};
  const child = spawn(program, [...prefix, ...args], { detached: true, env, stdio: ['pipe', 'pipe', 'pipe'] });
  running.set(child, options.stopSignal);
  for (const end of ['exit', 'error']) child.once(end, () => running.delete(child));
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-KEPT_OUTPUT);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('error', (error) => keep(Buffer.from(error.message)));
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const hasExited = () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

  const succeeded = new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });

  return {
    succeeded,
    output: () => output.trim(),
    hasExited,
    stop: () => (hasExited() ? Promise.resolve() : endOf(child, options.stopSignal)),
  };
}

/** For a process that ends before its start is complete: waits for the end of everything that it has started. */
export async function stopAllOwned(): Promise<void> {
  await Promise.all([...running].map(([child, signal]) => endOf(child, signal)));
}

/**
 * Waits for a program that ends by itself.
 * @throws with what it wrote, unless it succeeds
 */
export async function runOwned(command: string, args: string[], options: OwnedOptions): Promise<void> {
  const program = startOwned(command, args, options);
  const isDone = await program.succeeded;
  if (!isDone) throw new Error(`${command} failed:\n${program.output()}`);
}

const START_TIMEOUT_MS = 30_000;
const PROBE_EVERY_MS = 30;

/**
 * Waits until the program answers.
 * @param probe throws while it does not
 * @throws with what the program wrote, when it ends or takes too long
 */
export async function untilItAnswers(server: OwnedProcess, name: string, probe: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      return await probe();
    } catch (cause) {
      if (server.hasExited()) throw new Error(`${name} did not start:\n${server.output()}`);
      if (Date.now() > deadline) {
        await server.stop();
        throw new Error(`${name} did not answer in time:\n${server.output()}`, { cause });
      }
      await sleep(PROBE_EVERY_MS);
    }
  }
}

/** The command that runs a program as an unprivileged user if this process is root; also for programs that just run once. */
export function wrapUnprivileged(): string[] {
  if (process.getuid?.() !== 0 || !SETPRIV) return [];
  // As an unprivileged user that can still reach files below the private folder of root.
  return [
    SETPRIV,
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    '--inh-caps=-all,+dac_override',
    '--ambient-caps=-all,+dac_override',
  ];
}

function wrap(command: string, { stopSignal, unprivileged }: OwnedOptions): [string, string[]] {
  if (!SETPRIV) return [command, []];
  const [, ...privileges] = unprivileged ? wrapUnprivileged() : [];
  return [SETPRIV, [...privileges, `--pdeathsig=${stopSignal.slice('SIG'.length)}`, command]];
}

function endOf(child: ChildProcess, signal: 'SIGINT' | 'SIGTERM'): Promise<void> {
  return new Promise((resolve) => {
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    child.once('exit', () => {
      clearTimeout(kill);
      resolve();
    });
    child.kill(signal);
  });
}
