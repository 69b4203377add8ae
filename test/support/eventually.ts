import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for something that happens soon, and fails with the last result when it does not. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<Exclude<NonNullable<T>, false>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen) return seen as Exclude<NonNullable<T>, false>;
    if (Date.now() > deadline) throw new Error(`did not happen within ${timeoutMs} ms: ${look}`);
    await sleep(20);
  }
}
