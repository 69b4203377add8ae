import { expect, test } from 'vitest';
import { createHashQueue } from '../../src/passwords/hash-queue.ts';

/** A task that the test ends. */
function openTask() {
  const gate = Promise.withResolvers<string>();
  return { run: () => gate.promise, finish: () => gate.resolve('done') };
}
const tick = () => new Promise((resolve) => setImmediate(resolve));

test('a fixed number of tasks run at once, the others in the order of arrival', async () => {
  const queue = createHashQueue({ concurrency: 2, maxWaiting: 10, maxWaitMs: 1_000 });
  const started: number[] = [];
  const tasks = Array.from({ length: 5 }, openTask);
  const results = tasks.map((task, n) =>
    queue.run(() => {
      started.push(n);
      return task.run();
    }),
  );
  await tick();
  expect(started).toEqual([0, 1]);
  tasks[1]?.finish();
  await tick();
  expect(started).toEqual([0, 1, 2]);
  for (const task of tasks) task.finish();
  expect(await Promise.all(results)).toEqual(Array(5).fill('done'));
  expect(started).toEqual([0, 1, 2, 3, 4]);
});

test('a task beyond the queue is rejected at once, with the time to retry', async () => {
  const queue = createHashQueue({ concurrency: 1, maxWaiting: 1, maxWaitMs: 1_000 });
  const task = openTask();
  const first = queue.run(task.run);
  const second = queue.run(async () => 'second');
  await expect(queue.run(async () => 'third')).rejects.toMatchObject({ reason: 'OVERLOADED', retryAfterMs: 1000 });
  task.finish();
  expect(await Promise.all([first, second])).toEqual(['done', 'second']);
});

test('a task that waits too long is rejected and never runs', async () => {
  const queue = createHashQueue({ concurrency: 1, maxWaiting: 5, maxWaitMs: 30 });
  const task = openTask();
  const first = queue.run(task.run);
  let ran = false;
  const late = queue.run(async () => {
    ran = true;
  });
  await expect(late).rejects.toMatchObject({ reason: 'OVERLOADED' });
  task.finish();
  await first;
  await tick();
  expect(ran).toBe(false);
});

test('a caller that disconnects leaves the queue', async () => {
  const queue = createHashQueue({ concurrency: 1, maxWaiting: 1, maxWaitMs: 1_000 });
  const task = openTask();
  const first = queue.run(task.run);
  const gone = new AbortController();
  const waiting = queue.run(async () => 'never', gone.signal);
  gone.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  const next = queue.run(async () => 'next');
  task.finish();
  expect(await Promise.all([first, next])).toEqual(['done', 'next']);
  await expect(queue.run(async () => 'no', gone.signal)).rejects.toThrow('gone');
});

test('a failed task frees its slot', async () => {
  const queue = createHashQueue({ concurrency: 1, maxWaiting: 0, maxWaitMs: 1_000 });
  await expect(queue.run(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await queue.run(async () => 'fine')).toBe('fine');
});
