// Timeouts for requests that last too long, at no cost for the others. A timer for each request, or a list that holds
// it until its end, would keep it alive past the young generation of the garbage collector, which costs as much as
// answering it.

const SWEEP_EVERY_MS = 50;
/**
 * A body usually arrives with its headers. The code with the limits on waiting requests takes over one that does not.
 */
export const WAIT_FOR_BODY_MS = 100;
export const READ_TIMEOUT_MS = 10_000;

/**
 * @param check called repeatedly until the item is finished
 * @returns adds an item
 */
export function createSweeper<T>(isFinished: (item: T) => boolean, check: (item: T) => void): (item: T) => void {
  let recent: T[] = [];
  const lasting = new Set<T>();
  let isSweepDue = false;

  function keepUnfinished(): void {
    for (const item of recent) {
      if (!isFinished(item)) lasting.add(item);
    }
    recent = [];
    if (!isSweepDue) scheduleSweep();
  }

  function sweep(): void {
    for (const item of lasting) {
      if (isFinished(item)) lasting.delete(item);
      else check(item);
    }
    scheduleSweep();
  }

  function scheduleSweep(): void {
    isSweepDue = lasting.size > 0;
    if (isSweepDue) setTimeout(sweep, SWEEP_EVERY_MS);
  }

  return (item) => {
    // A response that is written now has been sent by the second setImmediate.
    if (recent.length === 0) setImmediate(() => setImmediate(keepUnfinished));
    recent.push(item);
  };
}
