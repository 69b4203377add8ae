import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { HashWork } from '../../src/passwords/hash-work.ts';
import { startHashingProcess } from '../../src/passwords/hashing-process.ts';
import { eventually } from '../support/eventually.ts';

const QUICK = { memoryKib: 256, iterations: 1, parallelism: 1 };
const SLOW = { memoryKib: 65_536, iterations: 6, parallelism: 1 };

function open(threads = 1) {
  const deaths: Error[] = [];
  const hashing = startHashingProcess(threads, (error) => deaths.push(error));
  onTestFinished(() => hashing.close());
  return { hashing, deaths };
}

/** For a busy machine. */
const BUSY_MS = 30_000;

/** The processes that this file has started to hash. Others belong to test files that ran before in this worker. */
function hashProcesses(): number[] {
  return hashingChildren().filter((pid) => !earlier.has(pid));
}

function hashingChildren(): number[] {
  const table = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  return table
    .split('\n')
    .filter((line) => line.includes('hashing-main'))
    .map((line) => Number.parseInt(line, 10));
}

const earlier = new Set(hashingChildren());

const compare = (hashing: HashWork, hash: string, password: string) =>
  hashing.compare({ hash, password, unnormalized: null, instead: [], afterwards: [] });

test('hashes and compares as in the same process', async () => {
  const { hashing } = open();
  const hash = await hashing.hash('a good pass phrase', QUICK);
  expect(hash).toMatch(/^\$argon2id\$/);
  expect(await compare(hashing, hash, 'a good pass phrase')).toBe('match');
  expect(await compare(hashing, hash, 'another')).toBe('mismatch');
});

test('any text is a password', async () => {
  const { hashing } = open();
  for (const password of ['\ud83d\ude00 ümläut', '\u2028', '"}', '\\u0000', 'x'.repeat(10_000)]) {
    expect(await compare(hashing, await hashing.hash(password, QUICK), password)).toBe('match');
  }
});

test('a stored text that is not a hash is unreadable, and the process continues', async () => {
  const { hashing, deaths } = open();
  const whole = await hashing.hash('x', QUICK);
  const texts = [
    '',
    'no hash',
    '$',
    '\0',
    '$argon2id$',
    whole.slice(0, -10),
    whole.slice(0, 30),
    whole.replace('m=256', 'm=4294967295'),
    whole.replace('m=256', 'm=0'),
    whole.replace('p=1', 'p=16777215'),
    whole.replace('v=19', 'v=99'),
    whole.replace('argon2id', 'argon2xx'),
    '$2b$31$'.padEnd(60, 'a'),
    '$2b$00$'.padEnd(60, 'a'),
    '$scrypt$ln=30,r=8,p=1$YWJjZGVmZ2g$MDEyMzQ1Njc4OWFiY2RlZg',
    '$pbkdf2-sha256$99999999$YWJjZGVmZ2g$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY',
    '$'.repeat(100_000),
    `$argon2id$v=19$m=256,t=1,p=1$${'A'.repeat(1_000_000)}`,
  ];
  for (const text of texts) expect(await compare(hashing, text, 'x'), text.slice(0, 80)).toBe('unreadable');
  expect(await compare(hashing, whole, 'x')).toBe('match');
  expect(deaths).toEqual([]);
});

test('runs at the lowest priority', async () => {
  const { hashing } = open();
  await hashing.hash('x', QUICK);
  const [pid] = hashProcesses();
  // The nineteenth field of stat (proc(5)), counted behind the name.
  const nice = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[16];
  expect(nice).toBe('19');
});

test('a killed process is replaced, and its tasks are repeated', async () => {
  const { hashing, deaths } = open(2);
  await hashing.hash('x', QUICK);
  const hashes = Promise.all(Array.from({ length: 6 }, (_, n) => hashing.hash(`password ${n}`, SLOW)));
  await sleep(100);
  const [pid] = hashProcesses();
  process.kill(pid as number, 'SIGKILL');
  const later = hashing.hash('asked while there was none', QUICK);
  expect(await Promise.all((await hashes).map((hash, n) => compare(hashing, hash, `password ${n}`)))).not.toContain(
    'mismatch',
  );
  expect(await later).toMatch(/^\$argon2id\$/);
  expect(deaths).toHaveLength(1);
});

test('a task that kills every process is given up', async () => {
  const { hashing } = open();
  await hashing.hash('x', QUICK);
  const doomed = hashing.hash('x', { ...SLOW, iterations: 400 });
  const killing = setInterval(() => {
    for (const pid of hashProcesses()) process.kill(pid, 'SIGKILL');
  }, 250);
  await expect(doomed).rejects.toMatchObject({ reason: 'OVERLOADED' });
  clearInterval(killing);
  expect(await hashing.hash('x', QUICK)).toMatch(/^\$argon2id\$/);
});

test(
  'no process remains after a close',
  async () => {
    const { hashing } = open();
    await hashing.hash('x', QUICK);
    const waiting = hashing.hash('x', { ...SLOW, iterations: 400 });
    hashing.close();
    await expect(waiting).rejects.toMatchObject({ reason: 'OVERLOADED' });
    // A killed process of the lowest priority also needs time on the processor to end.
    await eventually(() => hashProcesses().length === 0, BUSY_MS);
  },
  2 * BUSY_MS,
);

test(
  'a process that cannot be started is tried again',
  async () => {
    const { hashing, deaths } = open();
    await hashing.hash('x', QUICK);
    const [pid] = hashProcesses();
    const free = useUpFiles();
    onTestFinished(free);
    process.kill(pid as number, 'SIGKILL');
    await eventually(() => deaths.length > 1, BUSY_MS);
    free();
    expect(await hashing.hash('x', QUICK)).toMatch(/^\$argon2id\$/);
  },
  2 * BUSY_MS,
);

/** Opens files until the limit is reached. Returns a function that closes them. */
function useUpFiles(): () => void {
  const held: number[] = [];
  try {
    for (;;) held.push(openSync('/dev/null', 'r'));
  } catch {}
  return () => {
    for (const file of held.splice(0)) closeSync(file);
  };
}
