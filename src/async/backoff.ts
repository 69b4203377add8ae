export type Backoff = { firstMs: number; maxMs: number };

/** @param failures in a row, apart from the one that leads to this delay */
export function backoffMs({ firstMs, maxMs }: Backoff, failures: number): number {
  return Math.min(firstMs * 2 ** failures, maxMs);
}
