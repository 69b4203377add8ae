// Limits the number of calls served at once: each takes some 20 KB and most of a millisecond. A call holds a slot from the arrival
// of its message until its response is made. While it waits for its message, or for its client to read the response, it holds a
// slot of fair-slots.ts.
import { AuthError } from '../../domain/auth-error.ts';
import { networksOf } from '../../domain/networks.ts';
import { RETRY_SOON_MS } from '../../domain/retry-after.ts';

export type ConcurrencyLimit = {
  /**
   * @param address of the client
   * @returns releases the slot; further calls have no effect
   * @throws AuthError OVERLOADED
   */
  acquire(address: string): () => void;
};

/** In one process. */
const MAX_CALLS = 1_000;
/** In one network of any size, so that no network takes all slots. */
const MAX_CALLS_OF_NETWORK = MAX_CALLS / 2;

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
      if (inUse >= MAX_CALLS || isFull) throw new AuthError('OVERLOADED', { retryAfterMs: RETRY_SOON_MS });
      add(networks, 1);
      let isHeld = true;
      return () => {
        if (isHeld) add(networks, -1);
        isHeld = false;
      };
    },
  };
}
