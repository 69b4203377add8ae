// When npm or the process below it ends, all processes that they started end.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Environment, processEnvironment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, type SignedIn, signedIn } from '../support/people.ts';
import { type RunningProcess, run } from '../support/processes.ts';

type Tree = { npm: number; bootstrap: number; all: number[] };

const { PATH = '', HOME = '' } = processEnvironment();
type Ending = [victim: 'npm' | 'bootstrap', signal: NodeJS.Signals];
const ENDINGS: Ending[] = [
  ['npm', 'SIGTERM'],
  ['npm', 'SIGINT'],
  ['npm', 'SIGHUP'],
  ['npm', 'SIGKILL'],
  ['bootstrap', 'SIGTERM'],
  ['bootstrap', 'SIGKILL'],
];

/** The running processes: their parents by their ids. */
function processTable(): Map<number, number> {
  const table = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const [, state, parent] = /\) (\S) (\d+)/.exec(textOf(`/proc/${name}/stat`)) ?? [];
    if (state !== undefined && state !== 'Z') table.set(Number(name), Number(parent));
  }
  return table;
}

/** Empty when the process has ended. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** @param root the process that was started: npm, or a shell above it */
function treeOf(root: number): Tree {
  const table = processTable();
  const below = (pid: number): number[] =>
    [...table].filter(([, parent]) => parent === pid).flatMap(([child]) => [child, ...below(child)]);
  const all = [root, ...below(root)];
  const bootstrap = all.find((pid) => textOf(`/proc/${pid}/cmdline`).includes('src/dev/bootstrap.mjs\0')) ?? 0;
  return { npm: table.get(bootstrap) ?? 0, bootstrap, all };
}

/** These processes, and all with this mark in their environment or command line. */
function survivors({ all }: Tree, mark: string): number[] {
  const isMarked = (pid: number) =>
    ['environ', 'cmdline'].some((file) => textOf(`/proc/${pid}/${file}`).includes(mark));
  return [...processTable().keys()].filter((pid) => all.includes(pid) || isMarked(pid));
}

async function endsWith(running: RunningProcess, mark: string, [victim, signal]: Ending) {
  const tree = treeOf(running.child.pid as number);
  expect(textOf(`/proc/${tree.npm}/cmdline`)).toContain('npm');
  process.kill(tree[victim], signal);
  await eventually(() => survivors(tree, mark).length === 0, 20_000).catch(() => {
    const left = survivors(tree, mark);
    const commands = left.map((pid) => textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' '));
    for (const pid of left) process.kill(pid, 'SIGKILL');
    throw new Error(`these are left:\n${commands.join('\n')}\n${running.output()}`);
  });
}

const TEST_TIMEOUT_MS = 120_000;

describe('npm start', { timeout: TEST_TIMEOUT_MS }, () => {
  let home: string;
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'latchkey-npm-'));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  async function start(): Promise<{ running: RunningProcess; url: string }> {
    const [port, mailboxPort] = [String(await freePort()), String(await freePort())];
    const environment = { PATH, HOME, PORT: port, MAILBOX_PORT: mailboxPort, LATCHKEY_HOME: home };
    const running = run('npm', ['start', '--loglevel=error'], environment, true);
    await eventually(() => {
      if (running.child.exitCode !== null) throw new Error(running.output());
      return running.output().includes('Ctrl-C stops everything');
    }, 60_000);
    return { running, url: `http://127.0.0.1:${port}` };
  }

  /** From the previous run. */
  let known: SignedIn | null = null;

  test.each(ENDINGS)('ends with everything when %s gets %s, and the next one has its data', async (...ending) => {
    const { running, url } = await start();
    const call = viaFetch(url);
    if (known) {
      const { email, password } = known;
      expect((await call(auth.login, { email, password })).code).toBe('ok');
    }
    known = await signedIn(call);
    // The folder is in the command line of Postgres. Redis is below this process.
    await endsWith(running, home, ending);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)('ends with everything when %s ends npm during initdb', async (signal) => {
    const fresh = mkdtempSync(join(tmpdir(), 'latchkey-npm-'));
    const environment = { PATH, HOME, PORT: '0', MAILBOX_PORT: '0', LATCHKEY_HOME: fresh };
    const running = run('npm', ['start', '--loglevel=error'], environment, true);
    // The command line of initdb names the folder.
    await eventually(() => [...processTable().keys()].some((pid) => isInitdb(pid, fresh)), 30_000);
    await endsWith(running, fresh, ['npm', signal]);
    rmSync(fresh, { recursive: true, force: true });
  });
});

function isInitdb(pid: number, folder: string): boolean {
  const command = textOf(`/proc/${pid}/cmdline`);
  return command.includes('initdb') && command.includes(folder);
}

describe('npm run latchkey serve', { timeout: TEST_TIMEOUT_MS }, () => {
  let mailbox: Mailbox;
  let environment: Environment;
  beforeAll(async () => {
    mailbox = await openTestMailbox();
    environment = await testEnvironment(mailbox);
  });
  afterAll(() => mailbox.close());

  const WORKERS = ['--workers', '2'];
  const cases: [options: string[], ...Ending][] = [
    [[], 'npm', 'SIGKILL'],
    [[], 'bootstrap', 'SIGKILL'],
    [WORKERS, 'npm', 'SIGTERM'],
    [WORKERS, 'npm', 'SIGKILL'],
    [WORKERS, 'bootstrap', 'SIGKILL'],
  ];
  test.each(cases)('%j ends with everything when %s gets %s', async (options, ...ending) => {
    const mark = randomUUID();
    const args = ['run', '--loglevel=error', 'latchkey', '--', 'serve', ...options];
    const running = run('npm', args, { ...environment, PATH, HOME, LATCHKEY_TEST_MARK: mark }, true);
    const port = await eventually(() => {
      if (running.child.exitCode !== null) throw new Error(running.output());
      const started = running.output().match(/"msg":"started"/g)?.length ?? 0;
      return started === (options.length === 0 ? 1 : 2) && /"port":(\d+)/.exec(running.output())?.[1];
    }, 60_000);
    // So that a hashing process exists.
    await registered(viaFetch(`http://127.0.0.1:${port}`));
    await endsWith(running, mark, ending);
  });
});
