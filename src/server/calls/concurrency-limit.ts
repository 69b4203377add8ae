// How many calls are served at once: each takes some 20 KB and most of a millisecond. A slot belongs to a call whose message has
// arrived, until its answer is made. A call that waits for its message, or for its caller to read the answer, holds a slot of
// another kind (fair-slots.ts).
import { AuthError } from '../../domain/auth-error.ts';
import { networksOf } from '../../domain/networks.ts';

export type ConcurrencyLimit = {
  /**
   * @param address of the client
   * @returns gives the slot back; it may be called again, to no effect
   * @throws AuthError OVERLOADED
   */
  acquire(address: string): () => void;
};

/** Of one process. */
const MAX_CALLS = 1_000;
/** Of one network, however wide, so that no network takes all slots. */
const MAX_CALLS_OF_NETWORK = MAX_CALLS / 2;
const RETRY_AFTER_MS = 1_000;

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
      if (inUse >= MAX_CALLS || isFull) throw new AuthError('OVERLOADED', { retryAfterMs: RETRY_AFTER_MS });
      add(networks, 1);
      let isHeld = true;
      return () => {
        if (isHeld) add(networks, -1);
        isHeld = false;
      };
    },
  };
}
