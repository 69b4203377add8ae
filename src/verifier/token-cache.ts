// A cache of authentic tokens within a bound of memory. The engine, not the cache, checks expiry and revocation.

export type Cached = { text: string };

export type TokenCache<T extends Cached> = {
  get(text: string): T | undefined;
  add(token: T): void;
  clear(): void;
  /** An estimate. */
  bytes(): number;
};

/**
 * The last characters of a token, which belong to its signature, are the key: a Map finds a short key several times
 * faster than a text of 500 characters. The whole text is compared before a token is returned.
 */
const KEY_LENGTH = 24;
/** Memory of an entry besides its text, as measured in test/verifier/token-cache-load.test.ts. */
const OVERHEAD_BYTES = 2_450;

/**
 * Two generations. A used token moves to the young one. When that holds half of the bound, the old one is dropped
 * whole. Recently used tokens stay, without a list to keep in order.
 */
export function createTokenCache<T extends Cached>(maxBytes: number): TokenCache<T> {
  let young = new Map<string, T>();
  let old = new Map<string, T>();
  let youngBytes = 0;
  let oldBytes = 0;

  function add(token: T): void {
    const key = token.text.slice(-KEY_LENGTH);
    const cost = token.text.length + OVERHEAD_BYTES;
    if (youngBytes + cost > maxBytes / 2) {
      [old, oldBytes] = [young, youngBytes];
      [young, youngBytes] = [new Map(), 0];
    }
    if (cost > maxBytes / 2) return;
    const replaced = young.get(key);
    if (replaced) youngBytes -= replaced.text.length + OVERHEAD_BYTES;
    young.set(key, token);
    youngBytes += cost;
  }

  return {
    get(text) {
      const key = text.slice(-KEY_LENGTH);
      const found = young.get(key);
      if (found) return found.text === text ? found : undefined;
      const older = old.get(key);
      if (older?.text !== text) return undefined;
      add(older);
      return older;
    },

    add,

    clear() {
      young = new Map();
      old = new Map();
      youngBytes = 0;
      oldBytes = 0;
    },

    bytes: () => youngBytes + oldBytes,
  };
}
