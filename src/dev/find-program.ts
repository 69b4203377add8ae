// Finds a program on PATH, or brings it from the system's package manager without touching the system: Debian's packages
// are downloaded as any user may, and unpacked into a folder of ours.
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type Program = {
  path: string;
  /** Where its libraries are, if they are not the system's. */
  libraryPath: string;
};

/** The first of these names that PATH has, or null. */
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
 * Downloads a Debian package with the packages it needs and this system lacks, and unpacks them.
 * @param folder a cache; what is there already is used again
 * @returns null where apt is not to be had
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

/** Folders of libraries in an unpacked package. */
export function libraryFolders(home: string): string[] {
  const folders = [join(home, 'usr/lib'), join(home, 'lib')];
  const below = (folder: string) => entries(folder).map((name) => join(folder, name));
  const multiarch = folders.flatMap(below).filter((folder) => folder.endsWith('-linux-gnu'));
  // Libraries that others of their package load lie in folders of their own.
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
