// The API keys of service accounts. Owns how long it is believed that a key is valid: a revoked one is believed for no second longer.
import { apiKeyHash, isApiKey } from '../domain/api-key.ts';
import type { Call } from '../domain/call.ts';
import { widestNetworkOf } from '../domain/networks.ts';
import type { ServicePrincipal } from '../domain/principal.ts';
import type { KeyHolder, ServiceAccounts } from '../store/service-accounts.ts';
import { createUnknownKeys } from './unknown-keys.ts';

export type ApiKeys = {
  /** The service that it speaks for, from memory alone; null when that takes a look-up, or for an invalid key. */
  known(text: string): ServicePrincipal | null;
  /** The service that it speaks for; null for an invalid key. @throws AuthError OVERLOADED, as UnknownKeys */
  open(text: string, call: Call): Promise<KeyHolder | null>;
  /** The same as of now, without the cache. */
  ask(text: string, call: Call): Promise<KeyHolder | null>;
};

const BELIEVED_MS = 500;
const MAX_REMEMBERED = 10_000;

/** @param clock monotonic, in milliseconds */
export function createApiKeys(
  store: Pick<ServiceAccounts, 'useKeys'>,
  clock: () => number = () => performance.now(),
): ApiKeys {
  // By hash; in the order of their last look-up, because a Map keeps the order of insertion.
  const remembered = new Map<string, { holder: KeyHolder; until: number }>();
  /** Look-ups of remembered keys, which the calls of `open` share. */
  const refreshing = new Map<string, ReturnType<typeof read>>();
  const lookUpUnknown = createUnknownKeys(read, clock);

  async function read(hashes: Buffer[]): Promise<Map<string, KeyHolder>> {
    // From before the statement: a key that is revoked meanwhile is not believed for longer.
    const until = clock() + BELIEVED_MS;
    const holders = await store.useKeys(hashes);
    for (const name of hashes.map(nameOf)) {
      const holder = holders.get(name);
      remembered.delete(name);
      if (holder) remembered.set(name, { holder, until });
    }
    for (const oldest of remembered.keys()) {
      if (remembered.size <= MAX_REMEMBERED) break;
      remembered.delete(oldest);
    }
    return holders;
  }

  function recall(name: string): KeyHolder | null {
    const found = remembered.get(name);
    return found && found.until > clock() ? found.holder : null;
  }

  /** A key that was valid a moment ago costs a statement of its own: strangers have none. */
  async function lookUp(hash: Buffer, { origin, signal }: Call, isFresh: boolean): Promise<KeyHolder | null> {
    signal.throwIfAborted();
    const name = nameOf(hash);
    if (!remembered.has(name)) return lookUpUnknown(hash, widestNetworkOf(origin.address), isFresh);
    const found = isFresh ? read([hash]) : (refreshing.get(name) ?? refresh(hash, name));
    return (await found).get(name) ?? null;
  }

  function refresh(hash: Buffer, name: string): ReturnType<typeof read> {
    const found = read([hash]).finally(() => refreshing.delete(name));
    refreshing.set(name, found);
    return found;
  }

  return {
    known(text) {
      const holder = isApiKey(text) ? recall(nameOf(apiKeyHash(text))) : null;
      return holder && { kind: 'service', ...holder };
    },

    async open(text, call) {
      if (!isApiKey(text)) return null;
      const hash = apiKeyHash(text);
      return recall(nameOf(hash)) ?? lookUp(hash, call, false);
    },

    async ask(text, call) {
      return isApiKey(text) ? lookUp(apiKeyHash(text), call, true) : null;
    },
  };
}

function nameOf(hash: Buffer): string {
  return hash.toString('base64');
}
