import { InvalidValue } from './parse-fields.ts';

const DEFAULT = 50;
const MAX = 100;

/** @throws InvalidValue */
export function parsePageSize(size: number): number {
  if (size < 0 || size > MAX) throw new InvalidValue(`must be 1 to ${MAX}, or 0 for ${DEFAULT}`);
  return size || DEFAULT;
}

/**
 * What a page has of what was found, which was asked for with one more; and its last item, if there is another page after it.
 */
export function cutPage<T>(found: T[], size: number): { page: T[]; goesOnAfter: T | undefined } {
  const page = found.slice(0, size);
  return { page, goesOnAfter: found.length > size ? page.at(-1) : undefined };
}
