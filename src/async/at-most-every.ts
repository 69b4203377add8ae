/** Calls through once in so many milliseconds, and drops the calls between. */
export function atMostEvery<T>(milliseconds: number, call: (value: T) => void): (value: T) => void {
  let nextAt = 0;
  return (value) => {
    if (performance.now() < nextAt) return;
    nextAt = performance.now() + milliseconds;
    call(value);
  };
}
