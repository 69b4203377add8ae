import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { openHashWorkshop } from '../../src/passwords/hash-workshop.ts';
import { eventually } from '../support/eventually.ts';

const QUICK = { memoryKib: 256, iterations: 1, parallelism: 1 };
const SLOW = { memoryKib: 65_536, iterations: 6, parallelism: 1 };

function open(threads = 1) {
  const deaths: Error[] = [];
  const workshop = openHashWorkshop(threads, (error) => deaths.push(error));
  onTestFinished(() => workshop.close());
  return { workshop, deaths };
}

/** The processes that this one has started to hash. */
function hashProcesses(): number[] {
  const table = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  return table
    .split('\n')
    .filter((line) => line.includes('hash-process'))
    .map((line) => Number.parseInt(line, 10));
}

test('hashes and compares as if it were here', async () => {
  const { workshop } = open();
  const hash = await workshop.hash('a good pass phrase', QUICK);
  expect(hash).toMatch(/^\$argon2id\$/);
  expect(await workshop.compare(hash, 'a good pass phrase')).toBe(true);
  expect(await workshop.compare(hash, 'another')).toBe(false);
});

test('any text is a password', async () => {
  const { workshop } = open();
  for (const password of ['\ud83d\ude00 ümläut', '\u2028', '"}', '\\u0000', 'x'.repeat(10_000)]) {
    expect(await workshop.compare(await workshop.hash(password, QUICK), password)).toBe(true);
  }
});

test('what cannot be compared is an error, and the next one is not', async () => {
  const { workshop } = open();
  await expect(workshop.compare('no hash', 'x')).rejects.toThrow();
  expect(await workshop.compare(await workshop.hash('x', QUICK), 'x')).toBe(true);
});

test('runs behind everything else', async () => {
  const { workshop } = open();
  await workshop.hash('x', QUICK);
  const [pid] = hashProcesses();
  // The nineteenth field of stat (proc(5)), counted behind the name.
  const nice = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[16];
  expect(nice).toBe('19');
});

test('a process that is killed is replaced, and what it was doing is done again', async () => {
  const { workshop, deaths } = open(2);
  await workshop.hash('x', QUICK);
  const hashes = Promise.all(Array.from({ length: 6 }, (_, n) => workshop.hash(`password ${n}`, SLOW)));
  await sleep(100);
  const [pid] = hashProcesses();
  process.kill(pid as number, 'SIGKILL');
  const later = workshop.hash('asked while there was none', QUICK);
  expect(await Promise.all((await hashes).map((hash, n) => workshop.compare(hash, `password ${n}`)))).not.toContain(
    false,
  );
  expect(await later).toMatch(/^\$argon2id\$/);
  expect(deaths).toHaveLength(1);
});

test('a task that kills every process is given up', async () => {
  const { workshop } = open();
  await workshop.hash('x', QUICK);
  const doomed = workshop.hash('x', { ...SLOW, iterations: 400 });
  const killing = setInterval(() => {
    for (const pid of hashProcesses()) process.kill(pid, 'SIGKILL');
  }, 250);
  await expect(doomed).rejects.toMatchObject({ reason: 'OVERLOADED' });
  clearInterval(killing);
  expect(await workshop.hash('x', QUICK)).toMatch(/^\$argon2id\$/);
});

test('none is left when it is closed', async () => {
  const { workshop } = open();
  await workshop.hash('x', QUICK);
  const waiting = workshop.hash('x', { ...SLOW, iterations: 400 });
  workshop.close();
  await expect(waiting).rejects.toMatchObject({ reason: 'OVERLOADED' });
  await eventually(() => hashProcesses().length === 0);
});

test('a process that cannot be started is tried again', async () => {
  const { workshop, deaths } = open();
  await workshop.hash('x', QUICK);
  const [pid] = hashProcesses();
  const free = useUpFiles();
  onTestFinished(free);
  process.kill(pid as number, 'SIGKILL');
  await sleep(600);
  free();
  expect(deaths.length).toBeGreaterThan(1);
  expect(await workshop.hash('x', QUICK)).toMatch(/^\$argon2id\$/);
});

/** Opens files until there are no more to be had. Returns how to close them. */
function useUpFiles(): () => void {
  const held: number[] = [];
  try {
    for (;;) held.push(openSync('/dev/null', 'r'));
  } catch {}
  return () => {
    for (const file of held.splice(0)) closeSync(file);
  };
}
