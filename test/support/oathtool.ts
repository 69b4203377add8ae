import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findProgram } from './program.ts';

const run = promisify(execFile);

/** The code of an authenticator app, of Debian's oathtool. @param secret in base32 */
export async function codeOfOathtool(secret: string, time: Date): Promise<string> {
  const { path, libraryPath } = await findProgram('oathtool', 'usr/bin/oathtool');
  const args = ['--totp', '--base32', `--now=${time.toISOString().replace('T', ' ').slice(0, 19)} UTC`];
  const { stdout } = await run(path, [...args, secret], { env: { LD_LIBRARY_PATH: libraryPath } });
  return stdout.trim();
}
