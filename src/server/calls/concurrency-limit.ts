// Limits the number of calls served at once: each takes some 20 KB and most of a millisecond. A call holds a slot from
// the arrival of its message until its response is made. While it waits for its message, or for its client to read the
// response, it holds a slot of fair-slots.ts.
import { AuthError } from '../../domain/auth-error.ts';
import { networksOf } from '../../domain/networks.ts';
import { RETRY_SOON_MS } from '../../domain/retry-after.ts';

export type ConcurrencyLimit = {
  /**
   * @returns releases the slot; further calls have no effect
   * @throws AuthError OVERLOADED
   */
  acquire(address: string): () => void;
};

const MAX_CALLS_OF_PROCESS = 1_000;
/** Keeps one network, of any size, from taking all slots. */
const MAX_CALLS_OF_NETWORK = MAX_CALLS_OF_PROCESS / 2;

export function createConcurrencyLimit(): ConcurrencyLimit {
  let inUse = 0;
  const byNetwork = new Map<string, number>();

  function add(networks: string[], calls: 1 | -1): void {
    inUse += calls;
    for (const network of networks) {
      const left = (byNetwork.get(network) ?? 0) + calls;
      if (left > 0) byNetwork.set(network, left);
      else byNetwork.delete(network);
    }
  }

  return {
    acquire(address) {
      const networks = networksOf(address);
      const isFull = networks.some((network) => (byNetwork.get(network) ?? 0) >= MAX_CALLS_OF_NETWORK);
      if (inUse >= MAX_CALLS_OF_PROCESS || isFull) throw new AuthError('OVERLOADED', { retryAfterMs: RETRY_SOON_MS });
      add(networks, 1);
      let isHeld = true;
      return () => {
        if (isHeld) add(networks, -1);
        isHeld = false;
      };
    },
  };
}
