// The clock that all processes share. It follows the monotonic clock: a step of the machine's clock has no effect.

export type DatabaseClock = {
  now(): Date;
  /** @param serverNow was read between the monotonic times `before` and `after`, all in milliseconds */
  observe(serverNow: number, before: number, after: number): void;
  /** Milliseconds by which the machine's own clock is ahead of Postgres's; 0 before the first observation. */
  aheadMs(): number;
};

export function createDatabaseClock(
  monotonic: () => number = () => performance.now(),
  machine: () => number = () => Date.now(),
): DatabaseClock {
  /** Postgres's time at the monotonic time 0. */
  let origin: number | null = null;
  const now = () => (origin === null ? machine() : origin + monotonic());

  return {
    now: () => new Date(now()),

    observe(serverNow, before, after) {
      const [least, most] = [serverNow - after, serverNow - before];
      // The uncertainty of an observation is its round trip. The clock moves only as far as the observation proves.
      origin = origin === null ? (least + most) / 2 : Math.min(Math.max(origin, least), most);
    },

    aheadMs: () => machine() - now(),
  };
}
