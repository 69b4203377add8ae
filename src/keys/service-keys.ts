import { createHash } from 'node:crypto';

type ServiceKey = {
  /** The name of the service. */
  name: string;
  /** The first 8 hexadecimal digits of the key's SHA-256, which name the key in logs and audit events. */
  fingerprint: string;
};

type UsedKey = ServiceKey & {
  /** Null until this process has accepted the key. */
  lastUsedAt: Date | null;
};

/** Keys are looked up by hash, so that the timing reveals nothing of a key. */
export type ServiceKeys = {
  nameOf(key: string): string | null;
  /** Counts as a use of the key by its service. */
  use(key: string): ServiceKey | null;
  uses(): UsedKey[];
};

const FINGERPRINT_DIGITS = 8;

/** @param keys one or two for each service: two while the service changes its key */
export function createServiceKeys(keys: Map<string, string[]>, now: () => Date): ServiceKeys {
  const known = new Map(
    [...keys].flatMap(([name, ofService]) =>
      ofService.map((key): [string, UsedKey] => [
        hashOf(key),
        { name, fingerprint: serviceKeyFingerprint(key), lastUsedAt: null },
      ]),
    ),
  );
  return {
    nameOf: (key) => known.get(hashOf(key))?.name ?? null,

    use(key) {
      const used = known.get(hashOf(key));
      if (!used) return null;
      used.lastUsedAt = now();
      return used;
    },

    uses: () => [...known.values()],
  };
}

/** An operator computes it with `printf %s "$KEY" | sha256sum | cut -c 1-8`. */
export function serviceKeyFingerprint(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, FINGERPRINT_DIGITS);
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}
