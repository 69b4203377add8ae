import { createHash } from 'node:crypto';

const FIRST_CAPACITY = 1024;

/**
 * Where each value of a file was seen first. It holds 20 bytes a value, so that a file of millions of accounts fits into
 * memory. Two values of a million share their 64 bits with a probability below 1 in 10^7.
 */
export function createSeenValues(): (value: string, line: number) => number | null {
  let [keys, lines, size] = [new BigUint64Array(FIRST_CAPACITY), new Uint32Array(FIRST_CAPACITY), 0];

  function slotOf(key: bigint): number {
    const mask = keys.length - 1;
    let slot = Number(key & BigInt(mask));
    while (keys[slot] !== 0n && keys[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  }

  function grow(): void {
    const [oldKeys, oldLines] = [keys, lines];
    [keys, lines] = [new BigUint64Array(oldKeys.length * 2), new Uint32Array(oldKeys.length * 2)];
    for (const [at, key] of oldKeys.entries()) {
      if (key === 0n) continue;
      const slot = slotOf(key);
      [keys[slot], lines[slot]] = [key, oldLines[at] as number];
    }
  }

  /** Returns the line where the value was seen before, or null. */
  return (value, line) => {
    if (2 * size >= keys.length) grow();
    // Zero marks a free slot.
    const key = createHash('sha256').update(value).digest().readBigUInt64LE() || 1n;
    const slot = slotOf(key);
    if (keys[slot] === key) return lines[slot] as number;
    [keys[slot], lines[slot]] = [key, line];
    size += 1;
    return null;
  };
}
