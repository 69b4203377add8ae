// The API keys of service accounts. A valid key is cached for half a second, so a revoked key is rejected within a
// second.
import { apiKeyHash, isApiKey } from '../domain/api-key.ts';
import type { Call } from '../domain/call.ts';
import { createExpiringMap } from '../domain/expiring-map.ts';
import { widestNetworkOf } from '../domain/networks.ts';
import { noteForLog } from '../process/log-context.ts';
import type { KeyHolder, ServiceAccounts } from '../store/service-accounts.ts';
import { createUnknownKeys, type FoundKey, isValid } from './unknown-keys.ts';

export type ApiKeys = {
  /** Null for an invalid key, and when a look-up is necessary. */
  cached(text: string): KeyHolder | null;
  /** Null for an invalid key. @throws AuthError OVERLOADED, as UnknownKeys */
  lookUp(text: string, call: Call): Promise<KeyHolder | null>;
  lookUpFresh(text: string, call: Call): Promise<KeyHolder | null>;
};

const CACHED_MS = 500;
const MAX_CACHED = 10_000;

export function createApiKeys(
  store: Pick<ServiceAccounts, 'useKeys'>,
  monotonicMs: () => number = () => performance.now(),
): ApiKeys {
  /** By hash in base64. */
  const cache = createExpiringMap<KeyHolder>(MAX_CACHED, monotonicMs);
  const refreshing = new Map<string, ReturnType<typeof read>>();
  const lookUpUnknown = createUnknownKeys(read, monotonicMs);

  async function read(hashes: Buffer[]): Promise<Map<string, FoundKey>> {
    // Measured before the statement, so that a key that is revoked during it is not cached for longer.
    const expiresAt = monotonicMs() + CACHED_MS;
    const holders = await store.useKeys(hashes);
    for (const name of hashes.map(nameOf)) {
      const holder = holders.get(name);
      if (isValid(holder)) cache.set(name, holder, expiresAt);
      else cache.delete(name);
    }
    return holders;
  }

  /** A key that was valid lately gets its own statement. Strangers have no such key. */
  async function find(hash: Buffer, { origin, signal }: Call, isFresh: boolean): Promise<KeyHolder | null> {
    signal.throwIfAborted();
    const name = nameOf(hash);
    if (!cache.has(name)) return validHolder(await lookUpUnknown(hash, widestNetworkOf(origin.address), isFresh));
    const holders = isFresh ? read([hash]) : (refreshing.get(name) ?? refresh(hash, name));
    return validHolder((await holders).get(name) ?? null);
  }

  function refresh(hash: Buffer, name: string): ReturnType<typeof read> {
    const holders = read([hash]).finally(() => refreshing.delete(name));
    refreshing.set(name, holders);
    return holders;
  }

  return {
    cached(text) {
      return isApiKey(text) ? cache.get(nameOf(apiKeyHash(text))) : null;
    },

    async lookUp(text, call) {
      if (!isApiKey(text)) return null;
      const hash = apiKeyHash(text);
      return cache.get(nameOf(hash)) ?? find(hash, call, false);
    },

    async lookUpFresh(text, call) {
      return isApiKey(text) ? find(apiKeyHash(text), call, true) : null;
    },
  };
}

/** The log shows why a key is rejected. */
function validHolder(found: FoundKey | null): KeyHolder | null {
  if (isValid(found)) return found;
  noteForLog(
    found
      ? { reason_detail: found.fault, service: found.name, service_key: found.keyId }
      : { reason_detail: 'unknown' },
  );
  return null;
}

function nameOf(hash: Buffer): string {
  return hash.toString('base64');
}
