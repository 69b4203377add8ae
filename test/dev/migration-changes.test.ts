// The check of committed migrations, on a small repository of its own.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { migrationProblems } from '../../src/dev/migration-changes.ts';

const FOLDER = 'src/store/migrations';
const BASELINE = `${FOLDER}/0001_baseline.sql`;
const SECOND = `${FOLDER}/0002_second.sql`;

let root: string;

beforeEach(() => {
  root = temporaryFolder();
  git('init', '--quiet', '--initial-branch=main');
  commit({ [`${FOLDER}/0001_accounts.sql`]: 'CREATE TABLE accounts ();' });
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-repository-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function git(...args: string[]): void {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@latchkey.example', '-c', 'commit.gpgsign=false'];
  const { status, stderr } = spawnSync('git', ['-C', root, ...identity, ...args], {
    encoding: 'utf8',
    env: { PATH: processEnvironment().PATH, HOME: root },
  });
  expect(status, stderr).toBe(0);
}

function write(files: Record<string, string>): void {
  mkdirSync(join(root, FOLDER), { recursive: true });
  for (const [path, text] of Object.entries(files)) writeFileSync(join(root, path), text);
}

function commit(files: Record<string, string> = {}): void {
  write(files);
  git('add', '--all');
  git('commit', '--quiet', '--allow-empty', '--message', 'x');
}

function becomeReleased(): void {
  rmSync(join(root, FOLDER), { recursive: true });
  commit({ [BASELINE]: 'CREATE TABLE a ();' });
  expect(migrationProblems(root)).toEqual([]);
  commit({ [SECOND]: 'CREATE TABLE b ();' });
}

test('the files from before the baseline may be replaced by it', () => {
  becomeReleased();
  expect(migrationProblems(root)).toEqual([]);
});

test('on a branch a new file is allowed, and a changed or removed one is named', () => {
  becomeReleased();
  git('switch', '--quiet', '--create', 'work');
  commit({ [`${FOLDER}/0003_third.sql`]: 'CREATE TABLE c ();' });
  expect(migrationProblems(root)).toEqual([]);
  commit({ [SECOND]: 'CREATE TABLE b (x integer);' });
  commit();
  expect(migrationProblems(root)).toEqual([expect.stringContaining(`${SECOND} was changed`)]);
  renameSync(join(root, SECOND), join(root, `${FOLDER}/0004_second.sql`));
  expect(migrationProblems(root)).toEqual([expect.stringContaining(`${SECOND} was removed`)]);
});

test('migrations that main has added since are not reported as missing', () => {
  becomeReleased();
  git('branch', 'work');
  commit({ [`${FOLDER}/0003_third.sql`]: 'CREATE TABLE c ();' });
  git('switch', '--quiet', 'work');
  commit();
  expect(migrationProblems(root)).toEqual([]);
});

test('on main the commit before is the baseline, and uncommitted changes are checked too', () => {
  becomeReleased();
  write({ [BASELINE]: 'CREATE TABLE a (x integer);' });
  expect(migrationProblems(root)).toEqual([expect.stringContaining(`${BASELINE} was changed`)]);
  commit();
  expect(migrationProblems(root)).toEqual([expect.stringContaining(`${BASELINE} was changed`)]);
});

test('in a clone without a local main, the baseline is origin/main', () => {
  becomeReleased();
  const origin = root;
  root = temporaryFolder();
  git('clone', '--quiet', origin, '.');
  git('switch', '--quiet', '--create', 'work');
  git('branch', '--delete', '--force', 'main');
  commit({ [SECOND]: 'CREATE TABLE b (x integer);' });
  commit();
  expect(migrationProblems(root)).toEqual([expect.stringContaining(`${SECOND} was changed`)]);
});
