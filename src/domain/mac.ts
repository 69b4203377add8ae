// The one way in which the service authenticates a text of its own.
import { createHmac, timingSafeEqual } from 'node:crypto';

export function macOf(content: Buffer | string, key: Buffer): Buffer {
  return createHmac('sha256', key).update(content).digest();
}

/** Takes the same time wherever the two differ. */
export function isEqual(given: Buffer | string, expected: Buffer | string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(expected)];
  return one.length === other.length && timingSafeEqual(one, other);
}
