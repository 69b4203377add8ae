// Commands that an operator types.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Deployment, ROOT } from './deployment.ts';

const run = promisify(execFile);

/** Runs `node src/main.ts ...` beside the deployment. Returns the lines that it printed. */
export async function runCommand(
  { environment }: Pick<Deployment, 'environment'>,
  ...args: string[]
): Promise<string[]> {
  const env = environment as NodeJS.ProcessEnv;
  const { stdout } = await run(process.execPath, [`${ROOT}/src/main.ts`, ...args], { env });
  return stdout.split('\n').filter((line) => line !== '');
}
