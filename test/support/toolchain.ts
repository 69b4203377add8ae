// Programs in other languages, which tests build with the toolchains of the machine.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { processEnvironment } from '../../src/config/config.ts';

const run = promisify(execFile);

export type Project = {
  /** The language. */
  name: string;
  folder: string;
  /** Succeeds where the toolchain is at hand. */
  probe: string[];
  /** Commands in the folder. */
  build: string[][];
};

/** Several jobs at once would starve the other tests of a small machine. */
const BUILD_LIMITS = { CARGO_BUILD_JOBS: '1', GOFLAGS: '-p=2' };
const BUILD_TIMEOUT_MS = 900_000;
/** The folder of a clone may be built once. */
const STAMP = 'node_modules/.cache/latchkey/built';

export function isAtHand({ probe }: Pick<Project, 'probe'>): Promise<boolean> {
  const [program = '', ...args] = probe;
  return execute(program, args).then(
    () => true,
    () => false,
  );
}

/** Does nothing when the sources are those of the last build. @throws with the output of the command that failed */
export async function build(project: Project): Promise<void> {
  if (await isBuilt(project)) return;
  const sources = await digestOf(project);
  const { folder, build: commands } = project;
  for (const [program = '', ...args] of commands) await execute('nice', ['-n', '10', program, ...args], folder);
  const stamp = stampOf(project);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, sources);
}

export async function isBuilt(project: Project): Promise<boolean> {
  const stamp = stampOf(project);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === (await digestOf(project));
}

function stampOf({ folder }: Project): string {
  return join(STAMP, folder.replaceAll('/', '-'));
}

/** Covers the files that git does not ignore. */
async function digestOf({ folder, build: commands }: Project): Promise<string> {
  const folders = [folder, 'proto', 'examples/clients/service-config.json'];
  const list = ['ls-files', '--cached', '--others', '--exclude-standard', '--', ...folders];
  const files = (await execute('git', list)).split('\n').filter((file) => file !== '' && existsSync(file));
  const hash = createHash('sha256').update(JSON.stringify(commands));
  for (const file of files.toSorted()) hash.update(`${file}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

async function execute(program: string, args: string[], cwd = '.'): Promise<string> {
  const env = { ...processEnvironment(), ...BUILD_LIMITS } as NodeJS.ProcessEnv;
  return (await run(program, args, { cwd, env, timeout: BUILD_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 })).stdout;
}
