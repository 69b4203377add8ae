// Looks after what may last too long, at no cost for what is over in a moment, as nearly everything is. A timer for each, or
// a list that keeps each until its end, makes it outlive the young generation of the garbage collector, and that costs as
// much as answering it.

const LOOK_EVERY_MS = 50;
/** A body usually comes with its headers. One that does not is left to the code that bounds what waits, and for how long. */
export const WAIT_FOR_BODY_MS = 100;

/**
 * @param isOver whether there is nothing to look after any more
 * @param look called every now and then until it is over
 */
export function createPatrol<T>(isOver: (one: T) => boolean, look: (one: T) => void): (one: T) => void {
  let fresh: T[] = [];
  const lasting = new Set<T>();
  let isLookDue = false;

  function sift(): void {
    for (const one of fresh) {
      if (!isOver(one)) lasting.add(one);
    }
    fresh = [];
    if (!isLookDue) lookLater();
  }

  function lookAtAll(): void {
    for (const one of lasting) {
      if (isOver(one)) lasting.delete(one);
      else look(one);
    }
    lookLater();
  }

  function lookLater(): void {
    isLookDue = lasting.size > 0;
    if (isLookDue) setTimeout(lookAtAll, LOOK_EVERY_MS);
  }

  return (one) => {
    // What is written by now goes out before the second one.
    if (fresh.length === 0) setImmediate(() => setImmediate(sift));
    fresh.push(one);
  };
}
