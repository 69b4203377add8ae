// Runs commands that an operator types.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Environment } from '../../src/config/config.ts';

const run = promisify(execFile);
/** The checkout of this file. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

type Place = { environment: Environment; root?: string };

/** Runs `node src/main.ts ...` beside the deployment. Returns the lines that it printed. */
export async function runCommand({ environment, root = ROOT }: Place, ...args: string[]): Promise<string[]> {
  const env = environment as NodeJS.ProcessEnv;
  const { stdout } = await run(process.execPath, [`${root}/src/main.ts`, ...args], { env });
  return stdout.split('\n').filter((line) => line !== '');
}
