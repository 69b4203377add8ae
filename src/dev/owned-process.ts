// Starts programs that must not outlive this process.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export type OwnedProcess = {
  /** The last 4,000 characters of its output. */
  output(): string;
  hasExited(): boolean;
  /** Resolves at its end: true for exit code 0. */
  succeeded: Promise<boolean>;
  stop(): Promise<void>;
};

export type OwnedOptions = {
  stopSignal: 'SIGINT' | 'SIGTERM';
  input?: string;
  libraryPath?: string;
  /** When this process is root, runs the program as another user. Postgres requires that. */
  unprivileged?: boolean;
};

/** They receive their signal when this process exits. On Linux the kernel also sends it when this process is killed. */
const running = new Map<ChildProcess, OwnedOptions['stopSignal']>();
process.once('exit', () => {
  for (const [child, signal] of running) child.kill(signal);
});

/** In Debian's essential package util-linux. */
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));
const KEPT_OUTPUT = 4_000;
const STOP_TIMEOUT_MS = 10_000;

/** Starts a process group, so that Ctrl-C reaches only this process, which then stops its programs in order. */
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

/** For a process that ends before its start is complete. */
export async function stopAllOwned(): Promise<void> {
  await Promise.all([...running].map(([child, signal]) => endOf(child, signal)));
}

/** Waits for the end of a program. @throws an error with its output when its exit code is not 0 */
export async function runOwned(command: string, args: string[], options: OwnedOptions): Promise<void> {
  const program = startOwned(command, args, options);
  const isDone = await program.succeeded;
  if (!isDone) throw new Error(`${command} failed:\n${program.output()}`);
}

const START_TIMEOUT_MS = 30_000;
const PROBE_EVERY_MS = 30;

/**
 * @param probe throws until the program is ready
 * @throws an error with the output of the program when it ends or is not ready in time
 */
export async function waitUntilReady(server: OwnedProcess, name: string, probe: () => Promise<void>): Promise<void> {
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

/** The command that runs a program as an unprivileged user; empty unless this process is root. */
export function wrapUnprivileged(): string[] {
  if (process.getuid?.() !== 0 || !SETPRIV) return [];
  // This capability lets the user reach files below a private folder of root.
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
