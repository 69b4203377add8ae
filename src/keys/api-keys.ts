// The API keys of service accounts. Owns how long it is believed that a key is good: a revoked one must not be a second longer.
import { apiKeyHash, isApiKey } from '../domain/api-key.ts';
import type { ServicePrincipal } from '../domain/principal.ts';
import type { KeyHolder, ServiceAccounts } from '../store/service-accounts.ts';

export type ApiKeys = {
  /** Whom it speaks for, from memory alone; null when that takes asking, or for nobody. */
  known(text: string): ServicePrincipal | null;
  /** Whom it speaks for; null for nobody. */
  open(text: string, signal?: AbortSignal): Promise<KeyHolder | null>;
  /** The same as of now, whatever was believed. */
  ask(text: string, signal?: AbortSignal): Promise<KeyHolder | null>;
};

const BELIEVED_MS = 500;
const MAX_REMEMBERED = 1_000;

/** @param clock monotonic, in milliseconds */
export function createApiKeys(
  store: Pick<ServiceAccounts, 'useKey'>,
  clock: () => number = () => performance.now(),
): ApiKeys {
  // By hash; in the order of their making, because a Map keeps the order of insertion.
  const remembered = new Map<string, { holder: KeyHolder; until: number }>();

  function recall(name: string): KeyHolder | null {
    const found = remembered.get(name);
    return found && found.until > clock() ? found.holder : null;
  }

  return {
    known(text) {
      const holder = isApiKey(text) ? recall(apiKeyHash(text).toString('base64')) : null;
      return holder && { kind: 'service', ...holder };
    },

    async open(text, signal) {
      if (!isApiKey(text)) return null;
      return recall(apiKeyHash(text).toString('base64')) ?? this.ask(text, signal);
    },

    async ask(text, signal) {
      if (!isApiKey(text)) return null;
      const hash = apiKeyHash(text);
      const name = hash.toString('base64');
      // From before it was asked: what is revoked meanwhile is not believed for longer.
      const until = clock() + BELIEVED_MS;
      const holder = await store.useKey(hash, signal);
      remembered.delete(name);
      if (holder) remembered.set(name, { holder, until });
      for (const oldest of remembered.keys()) {
        if (remembered.size <= MAX_REMEMBERED) break;
        remembered.delete(oldest);
      }
      return holder;
    },
  };
}
