const TICKS = 4;

/**
 * Time for which this process was held up does not count: the answer may have arrived and wait to be read.
 * @throws Error `timed out after <milliseconds> ms`; the work itself goes on
 */
export async function inTime<T>(milliseconds: number, work: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  let ticks = 0;
  // However long a process is held up, an interval ticks once.
  const timer = setInterval(() => {
    ticks += 1;
    if (ticks === TICKS) late.reject(new Error(`timed out after ${milliseconds} ms`));
  }, milliseconds / TICKS);
  try {
    return await Promise.race([work(), late.promise]);
  } finally {
    clearInterval(timer);
  }
}
