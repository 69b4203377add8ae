// connectconformance, the conformance suite of Connect (connectrpc.com/conformance), which Go builds. It starts the servers of
// test/connect-conformance/server.ts and calls them as a client of Connect, gRPC and gRPC-Web.
import { join, resolve } from 'node:path';
import { processEnvironment } from '../../src/config/config.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { run } from './processes.ts';
import { GO_PROGRAMS } from './program.ts';
import type { Project } from './toolchain.ts';

const MODULE = 'connectrpc.com/conformance';
const FOLDER = 'test/connect-conformance';
const RUNNER = join(GO_PROGRAMS, 'connectconformance');
const DESCRIPTORS = join(PROGRAM_CACHE, 'connect-conformance.binpb');
const BUF = resolve('node_modules/.bin/buf');

export const CONNECT_CONFORMANCE: Project = {
  name: 'Go',
  folder: FOLDER,
  // Fails for a Go that is older than the module requires.
  probe: ['go', 'list', '-C', FOLDER, '-m'],
  build: [
    ['go', 'build', '-buildvcs=false', '-o', RUNNER, `${MODULE}/cmd/connectconformance`],
    [
      'sh',
      '-c',
      `'${BUF}' build "$(go list -m -f '{{.Dir}}' ${MODULE})/proto" --as-file-descriptor-set -o '${DESCRIPTORS}'`,
    ],
  ],
};

export type ConformanceOptions = {
  /** Patterns of names. All cases run without the first. */
  run?: string[];
  skip?: string[];
  /** Calls at once to each of so many servers. */
  parallel?: number;
  servers?: number;
  timeoutMs: number;
};

export type ConformanceReport = {
  passed: number;
  /** The name of a case, then what was wrong. */
  failures: string[];
  /** Cases that received no response before the timeout. */
  unanswered: string[];
  /** Other lines, such as the errors that the servers log. */
  log: string;
};

/** The programs must have been built. @throws with the output of a run that reports no result */
export async function runConformance(options: ConformanceOptions): Promise<ConformanceReport> {
  const { run: patterns = [], skip = [], parallel = 8, servers = 2, timeoutMs } = options;
  const server = [process.execPath, `${FOLDER}/server.ts`, DESCRIPTORS];
  const cases = [...patterns.map((pattern) => `--run=${pattern}`), ...skip.map((pattern) => `--skip=${pattern}`)];
  const load = ['--parallel', String(parallel), '--max-servers', String(servers)];
  const args = ['--mode', 'server', '--conf', `${FOLDER}/features.yaml`, '--vv', ...load, ...cases, '--', ...server];
  const runner = run(RUNNER, args, processEnvironment(), true);
  const timer = setTimeout(() => process.kill(-(runner.child.pid as number), 'SIGKILL'), timeoutMs);
  await runner.ended;
  clearTimeout(timer);
  const output = runner.output();
  const unanswered = unansweredIn(output);
  const passed = /^(\d+) passed, \d+ failed$/m.exec(output)?.[1];
  if (passed === undefined && unanswered.length === 0) throw new Error(output);
  const log = output.replaceAll(/^(?:Sending|Received) .*\n/gm, '');
  return { passed: Number(passed ?? 0), failures: failuresIn(output), unanswered, log };
}

function unansweredIn(output: string): string[] {
  const received = new Set(namesIn(output, /^Received response for "(.*)"\.\.\.$/gm));
  return namesIn(output, /^Sending request for "(.*)"\.\.\.$/gm).filter((name) => !received.has(name));
}

function failuresIn(output: string): string[] {
  return namesIn(output, /^FAILED: (.*(?:\n\t.*)*)/gm);
}

function namesIn(output: string, pattern: RegExp): string[] {
  return Array.from(output.matchAll(pattern), ([, name = '']) => name);
}
