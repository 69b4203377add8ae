import { basename, join } from 'node:path';
import { processEnvironment } from '../../src/config/config.ts';
import { fromDebian, onPath, type Program } from '../../src/dev/find-program.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';

/** Programs that `npm run test:deploy` builds with Go: grpcurl and Helm. */
export const GO_PROGRAMS = join(PROGRAM_CACHE, 'go');

/**
 * A program that a test runs: the one on PATH, or Debian's.
 * @param path of the program in the package
 * @throws where there is neither
 */
export async function findProgram(packageName: string, path: string, names = [basename(path)]): Promise<Program> {
  const found =
    onPath(names, `${processEnvironment().PATH}:/usr/sbin`) ?? (await fromDebian(packageName, path, PROGRAM_CACHE));
  if (!found) throw new Error(`${packageName} is needed, from Debian or on PATH`);
  return found;
}
