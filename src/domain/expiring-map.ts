/** A bounded map. The oldest entries are removed first. */
export type ExpiringMap<V> = {
  get(key: string): V | null;
  has(key: string): boolean;
  /** @param expiresAt in the unit of the clock */
  set(key: string, value: V, expiresAt: number): void;
  delete(key: string): void;
};

export function createExpiringMap<V>(maxEntries: number, clock: () => number): ExpiringMap<V> {
  // A Map iterates in the order of insertion.
  const entries = new Map<string, { value: V; expiresAt: number }>();
  return {
    get(key) {
      const entry = entries.get(key);
      return entry && entry.expiresAt > clock() ? entry.value : null;
    },
    has: (key) => entries.has(key),
    set(key, value, expiresAt) {
      entries.delete(key);
      entries.set(key, { value, expiresAt });
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries) break;
        entries.delete(oldest);
      }
    },
    delete: (key) => void entries.delete(key),
  };
}
