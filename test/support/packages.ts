// The two packages as they are published, installed into an empty project.
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Environment, processEnvironment } from '../../src/config/config.ts';

const exec = promisify(execFile);
const INSTALL = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];

/** Runs a program to its end. @throws with its output when it fails */
export async function runToEnd(command: string, args: string[], cwd?: string, env?: Environment): Promise<string> {
  try {
    const { stdout } = await exec(command, args, { cwd, env: { ...processEnvironment(), ...env }, encoding: 'utf8' });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error });
  }
}

/** Builds and packs both. @returns the path of each archive */
export async function packPackages(folder: string): Promise<{ service: string; client: string }> {
  await runToEnd(process.execPath, ['src/dev/build-packages.ts', folder]);
  const pack = async (name: string) => {
    const args = ['pack', '--json', '--pack-destination', folder, join(folder, name)];
    const [{ filename }] = JSON.parse(await runToEnd('npm', args)) as [{ filename: string }];
    return join(folder, filename.replace('@', '').replace('/', '-'));
  };
  return { service: await pack('latchkey'), client: await pack('client') };
}

/** @param packages names with versions, or paths of archives */
export async function createProject(folder: string, packages: string[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: 'module' }));
  await runToEnd('npm', [...INSTALL, ...packages], folder);
}

/** Every package of a project: its folders below node_modules. */
export function installedPackages(folder: string): string[] {
  const modules = join(folder, 'node_modules');
  return readdirSync(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(modules, name)).map((part) => `${name}/${part}`) : [name],
    );
}

export function megabytesOf(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => statSync(join(folder, name)));
  return files.reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0) / 1e6;
}
