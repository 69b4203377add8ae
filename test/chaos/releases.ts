// Earlier releases of the service, from the history of the checkout.
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './operator.ts';

const run = promisify(execFile);
const MAIN_BRANCHES = ['origin/main', 'main'];

let chosen: string | null = null;

/** The revision of the command line, instead of the default. */
export function chooseOldRevision(revision: string): void {
  chosen = revision;
}

/** The chosen revision; else the fork point of this branch from main; else the commit before. Null outside a clone. */
export async function oldRevision(): Promise<string | null> {
  const head = await git('rev-parse', 'HEAD');
  if (head === null) return null;
  if (chosen !== null) return git('rev-parse', '--verify', `${chosen}^{commit}`);
  for (const branch of MAIN_BRANCHES) {
    const base = await git('merge-base', 'HEAD', branch);
    if (base !== null && base !== head) return base;
  }
  return git('rev-parse', '--verify', 'HEAD~1');
}

/** Unpacks a revision into a folder, with the dependencies of this checkout. Returns the folder. */
export async function unpackRevision(revision: string, folder: string): Promise<string> {
  const root = join(folder, `release-${revision.slice(0, 12)}`);
  mkdirSync(root, { recursive: true });
  const archive = join(root, 'archive.tar');
  await run('git', ['-C', ROOT, 'archive', '--output', archive, revision, 'src', 'gen', 'package.json']);
  await run('tar', ['-xf', archive, '-C', root]);
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  return root;
}

async function git(...args: string[]): Promise<string | null> {
  return run('git', ['-C', ROOT, ...args]).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
}
