/**
 * The number of connections that each worker has above its share. Without them, two workers differ by at most one. No
 * smaller number of moves reaches that.
 */
export function surplusOf(open: number[]): number[] {
  const total = open.reduce((sum, one) => sum + one, 0);
  const share = Math.floor(total / open.length);
  // Those with the most have one more than the others when the total cannot be divided.
  let remainder = total % open.length;
  const surplus = open.map(() => 0);
  const descending = [...open.keys()].toSorted((a, b) => (open[b] as number) - (open[a] as number));
  for (const n of descending) {
    const above = (open[n] as number) - share - (remainder > 0 ? 1 : 0);
    remainder -= 1;
    surplus[n] = Math.max(0, above);
  }
  return surplus;
}
