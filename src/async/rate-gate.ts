/** A window begins with the first that passes. */
export function rateGate({ passes, windowMs }: { passes: number; windowMs: number }): () => boolean {
  let windowEndsAt = 0;
  let passed = 0;
  return () => {
    const now = performance.now();
    if (now >= windowEndsAt) [windowEndsAt, passed] = [now + windowMs, 0];
    passed += 1;
    return passed <= passes;
  };
}

/** Drops the calls between. */
export function atMostEvery<T>(milliseconds: number, call: (value: T) => void): (value: T) => void {
  const mayPass = rateGate({ passes: 1, windowMs: milliseconds });
  return (value) => {
    if (mayPass()) call(value);
  };
}
