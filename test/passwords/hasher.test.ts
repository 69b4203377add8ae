import bcrypt from 'bcrypt';
import { expect, test } from 'vitest';
import { parsePresentedPassword } from '../../src/domain/password.ts';
import { createHashQueue } from '../../src/passwords/hash-queue.ts';
import { workHere } from '../../src/passwords/hash-work.ts';
import { createHasher } from '../../src/passwords/hasher.ts';

const password = parsePresentedPassword('a good pass phrase');
const wrong = parsePresentedPassword('a wrong pass phrase');
const open = () =>
  createHasher(
    { memoryKib: 256, iterations: 1, parallelism: 1 },
    createHashQueue({ concurrency: 1, maxWaiting: 9, maxWaitMs: 5_000 }),
    workHere,
  );

async function millisecondsOf(work: Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work;
  return performance.now() - startedAt;
}

test('hashes have a salt, match their password and no other', async () => {
  const hasher = await open();
  const [one, two] = [await hasher.hash(password), await hasher.hash(password)];
  expect(one).not.toBe(two);
  expect(await hasher.verify(one, password)).toBe(true);
  expect(await hasher.verify(one, wrong)).toBe(false);
  expect(hasher.isOutdated(one)).toBe(false);
});

test('no hash takes as long as one', async () => {
  const queue = createHashQueue({ concurrency: 1, maxWaiting: 9, maxWaitMs: 5_000 });
  const hasher = await createHasher({ memoryKib: 32_768, iterations: 4, parallelism: 1 }, queue, workHere);
  const hash = await hasher.hash(password);
  const [real, decoy] = [[], []] as [number[], number[]];
  for (let n = 0; n < 5; n += 1) {
    real.push(await millisecondsOf(hasher.verify(hash, wrong)));
    decoy.push(await millisecondsOf(hasher.verify(null, wrong)));
  }
  expect(Math.min(...decoy)).toBeGreaterThan(Math.min(...real) * 0.5);
});

test('no hash matches nothing, not even what the decoy was made of', async () => {
  const hasher = await open();
  expect(await hasher.verify(null, password)).toBe(false);
});

test('once a slow hash was met, every failure takes as long, and no success does', async () => {
  const hasher = await open();
  const slow = await bcrypt.hash(password, 11);
  const quick = await hasher.hash(password);
  const slowFailure = await millisecondsOf(hasher.verify(slow, wrong));
  expect(slowFailure).toBeGreaterThan(50);
  expect(await millisecondsOf(hasher.verify(null, wrong))).toBeGreaterThan(slowFailure * 0.8);
  expect(await millisecondsOf(hasher.verify(quick, wrong))).toBeGreaterThan(slowFailure * 0.8);
  const successes = [];
  for (let n = 0; n < 5; n += 1) successes.push(await millisecondsOf(hasher.verify(quick, password)));
  expect(Math.min(...successes)).toBeLessThan(slowFailure * 0.5);
});

test('a caller who goes away after the password was looked at has had the answer', async () => {
  const hasher = await open();
  await hasher.verify(await bcrypt.hash(password, 11), wrong);
  const gone = new AbortController();
  const failure = hasher.verify(null, wrong, gone.signal);
  setTimeout(() => gone.abort(), 20);
  expect(await failure).toBe(false);
});
