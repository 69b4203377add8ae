import { InvalidValue } from './parse-fields.ts';

const DEFAULT = 50;
const MAX = 100;

/** @throws InvalidValue */
export function parsePageSize(size: number): number {
  if (size < 0 || size > MAX) throw new InvalidValue(`must be 1 to ${MAX}, or 0 for ${DEFAULT}`);
  return size || DEFAULT;
}

export function cutPage<T>(found: T[], size: number): { page: T[]; nextAfter: T | undefined } {
  const page = found.slice(0, size);
  return { page, nextAfter: found.length > size ? page.at(-1) : undefined };
}
