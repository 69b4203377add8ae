export type Lifetime = {
  /** A connection takes no new calls after this, plus or minus a tenth; 0 for no limit. */
  maxAgeMs: number;
  graceMs: number;
  pingEveryMs: number;
  pingTimeoutMs: number;
};

const JITTER = 0.1;

/** Random, so that connections that opened together do not close together. */
export function ageOf({ maxAgeMs }: Lifetime): number {
  return maxAgeMs === 0 ? Number.POSITIVE_INFINITY : maxAgeMs * (1 + JITTER * (2 * Math.random() - 1));
}
