// Tokens that have been found authentic, within a bound of memory. Knows nothing of expiry or revocation: who takes a token
// from here checks those.

/** What is known of one authentic token. */
export type Cached = { text: string };

export type TokenCache<T extends Cached> = {
  get(text: string): T | undefined;
  add(token: T): void;
  clear(): void;
  /** An estimate, in bytes. */
  bytes(): number;
};

/**
 * Enough of the end of a token, where its signature is, to tell it from others: a short key is found several times faster
 * than a text of 500 characters. It is only a key. The whole text is compared before anything is answered.
 */
const KEY_LENGTH = 24;
/** What a token takes besides its text, measured (test/verifier/token-cache-load.test.ts): its claims, the rendered answers, the entry. */
const OVERHEAD_BYTES = 2_450;

/**
 * Two generations: what is used moves to the young one, and when that holds half of the bound, the old one is dropped whole.
 * So there is no list to keep in order, and what was used lately stays.
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
