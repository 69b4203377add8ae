// The time by Postgres's clock, which is the one that all processes share: sessions, tokens and expiry are judged by it. It
// runs on the monotonic clock of this process, so that a step of the machine's clock changes nothing.

export type DatabaseClock = {
  now(): Date;
  /** @param serverNow was read between the monotonic times `before` and `after`, all in milliseconds */
  observe(serverNow: number, before: number, after: number): void;
  /** How far the machine's own clock is ahead of Postgres's, in milliseconds; 0 before the first observation. */
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
      // An observation is only as good as its journey is short: it moves the clock no further than it proves.
      origin = origin === null ? (least + most) / 2 : Math.min(Math.max(origin, least), most);
    },

    aheadMs: () => machine() - now(),
  };
}
