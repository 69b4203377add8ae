/** For bytes that can be kept long. A small copy is usually in the pool of Buffer, and would keep all 64 KiB of it in memory. */
export function ownCopy(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
