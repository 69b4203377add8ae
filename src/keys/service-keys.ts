import { createHash } from 'node:crypto';

/** The services that may call, by the hash of their key: a look-up by hash tells nothing of the key by its timing. */
export type ServiceKeys = {
  /** The name of the service whose key it is, or null. */
  nameOf(key: string): string | null;
};

/** @param keys by the service's name */
export function createServiceKeys(keys: Map<string, string>): ServiceKeys {
  const names = new Map([...keys].map(([name, key]) => [fingerprint(key), name]));
  return { nameOf: (key) => names.get(fingerprint(key)) ?? null };
}

function fingerprint(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}
