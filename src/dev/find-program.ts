// Finds a program on PATH, or downloads it with Debian's package manager, without root privileges and without an
// installation.
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type Program = {
  path: string;
  libraryPath: string;
};

export function onPath(names: string[], searchPath: string): Program | null {
  for (const name of names) {
    for (const folder of searchPath.split(delimiter)) {
      const path = join(folder, name);
      if (isExecutable(path)) return { path, libraryPath: '' };
    }
  }
  return null;
}

/**
 * Downloads a Debian package with its missing dependencies, and unpacks them.
 * @param folder a cache
 * @returns null on a system without apt
 * @throws when apt fails
 */
export async function fromDebian(packageName: string, program: string, folder: string): Promise<Program | null> {
  const home = join(folder, packageName);
  if (!isExecutable(join(home, program))) {
    if (!isExecutable('/usr/bin/apt-get') || !isExecutable('/usr/bin/dpkg')) return null;
    await unpack(packageName, folder, home);
  }
  return { path: join(home, program), libraryPath: libraryFolders(home).join(delimiter) };
}

async function unpack(packageName: string, folder: string, home: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const draft = mkdtempSync(join(folder, 'draft-'));
  try {
    const apt = join(draft, 'apt');
    for (const needed of ['lists/partial', 'archives/partial', 'downloads', 'root'])
      mkdirSync(join(apt, needed), { recursive: true });
    const options = [
      `Dir::State::Lists=${join(apt, 'lists')}`,
      `Dir::Cache=${apt}`,
      'Debug::NoLocking=1',
      'APT::Update::Post-Invoke::=true',
      'APT::Sandbox::User=',
    ].flatMap((option) => ['-o', option]);
    await run('apt-get', [...options, '-qq', 'update']);
    const plan = await run('apt-get', [...options, '-s', '-qq', '--no-install-recommends', 'install', packageName]);
    const names = [...plan.stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] as string);
    await run('apt-get', [...options, '-qq', 'download', ...names], { cwd: join(apt, 'downloads') });
    for (const file of readdirSync(join(apt, 'downloads'))) {
      await run('dpkg', ['-x', join(apt, 'downloads', file), join(apt, 'root')]);
    }
    rmSync(home, { recursive: true, force: true });
    renameSync(join(apt, 'root'), home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

export function libraryFolders(home: string): string[] {
  const folders = [join(home, 'usr/lib'), join(home, 'lib')];
  const below = (folder: string) => entries(folder).map((name) => join(folder, name));
  const multiarch = folders.flatMap(below).filter((folder) => folder.endsWith('-linux-gnu'));
  // Some packages have private libraries in a folder of their own.
  const own = multiarch.flatMap(below).filter((folder) => entries(folder).some((name) => /\.so(\.|$)/.test(name)));
  return [...folders, ...multiarch, ...own];
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
