import { createHash } from 'node:crypto';

/** Keys are looked up by hash, so that the timing reveals nothing of a key. */
export type ServiceKeys = {
  nameOf(key: string): string | null;
};

export function createServiceKeys(keys: Map<string, string>): ServiceKeys {
  const names = new Map([...keys].map(([name, key]) => [fingerprint(key), name]));
  return { nameOf: (key) => names.get(fingerprint(key)) ?? null };
}

function fingerprint(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}
