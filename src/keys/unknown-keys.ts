// Bounds the cost of API keys that this process has not seen valid. The keys of one network are looked up together, in
// at most one statement a second. When more keys arrive than fit one statement, each has the same chance, so that a
// genuine service in the same network as a flood succeeds after a few attempts.
import { randomInt } from 'node:crypto';
import { AuthError } from '../domain/auth-error.ts';
import type { InvalidKey, KeyHolder } from '../store/service-accounts.ts';

export type FoundKey = KeyHolder | InvalidKey;

/** By hash in base64. Unknown keys are absent. */
export type ReadKeys = (hashes: Buffer[]) => Promise<Map<string, FoundKey>>;

/**
 * @param isFresh whether the statement must begin after the call. Otherwise the call can share a running statement
 * @throws AuthError OVERLOADED while too many calls of the network are waiting
 */
export type UnknownKeys = (hash: Buffer, network: string, isFresh: boolean) => Promise<FoundKey | null>;

const EVERY_MS = 1_000;
const MAX_KEYS_PER_STATEMENT = 256;
/** The calls of one network that share the look-up of another call. */
const MAX_SHARING = 1_000;
/** Further networks share one queue. */
const MAX_NETWORKS = 10_000;
const OTHERS = 'others';

export function createUnknownKeys(readKeys: ReadKeys, monotonicMs: () => number): UnknownKeys {
  const read = oneAtATime(readKeys);
  // Ordered by last use.
  const networks = new Map<string, Network>();

  return (hash, name, isFresh) => {
    for (const [idleName, idle] of networks) {
      if (!idle.isIdle()) break;
      networks.delete(idleName);
    }
    const used = networks.has(name) || networks.size < MAX_NETWORKS ? name : OTHERS;
    const network = networks.get(used) ?? createNetwork(read, monotonicMs);
    networks.delete(used);
    networks.set(used, network);
    return network.lookUp(hash, isFresh);
  };
}

/** Networks that are due while a statement runs share the next statement. */
function oneAtATime(read: ReadKeys): ReadKeys {
  let running: Promise<unknown> = Promise.resolve();
  let next: { hashes: Buffer[]; found: ReturnType<ReadKeys> } | null = null;
  return (hashes) => {
    if (next) {
      next.hashes.push(...hashes);
      return next.found;
    }
    const all = [...hashes];
    const found = running.then(() => {
      next = null;
      return read(all);
    });
    running = found.catch(() => {});
    next = { hashes: all, found };
    return found;
  };
}

type Network = {
  lookUp(hash: Buffer, isFresh: boolean): Promise<FoundKey | null>;
  isIdle(): boolean;
};

type Waiting = PromiseWithResolvers<FoundKey | null> & { hash: Buffer; name: string };

function createNetwork(read: ReadKeys, monotonicMs: () => number): Network {
  let waiting: Waiting[] = [];
  let reading: Waiting[] = [];
  let [arrived, sharing] = [0, 0];
  let isReading = false;
  let nextAt = 0;

  async function readAll(): Promise<void> {
    const batch = waiting;
    reading = batch;
    waiting = [];
    [arrived, sharing] = [0, 0];
    const beganAt = monotonicMs();
    const holders = await read(batch.map(({ hash }) => hash)).catch((error: unknown) => {
      for (const one of batch) one.reject(error);
      return null;
    });
    for (const one of batch) one.resolve(holders?.get(one.name) ?? null);
    // Only invalid keys cause the wait of a second.
    nextAt = batch.every(({ name }) => isValid(holders?.get(name))) ? 0 : beganAt + EVERY_MS;
    isReading = false;
    reading = [];
    if (waiting.length > 0) readSoon();
  }

  function readSoon(): void {
    if (isReading) return;
    isReading = true;
    setTimeout(() => void readAll(), Math.max(0, nextAt - monotonicMs()));
  }

  function share(one: Waiting): Waiting['promise'] {
    sharing += 1;
    if (sharing > MAX_SHARING) throw overloaded();
    return one.promise;
  }

  /** Reservoir sampling: a flood cannot occupy every slot by arriving first. */
  function accept(one: Waiting): void {
    arrived += 1;
    const slot = arrived <= MAX_KEYS_PER_STATEMENT ? waiting.length : randomInt(arrived);
    const rejected = slot < MAX_KEYS_PER_STATEMENT ? waiting[slot] : one;
    if (slot < MAX_KEYS_PER_STATEMENT) waiting[slot] = one;
    rejected?.reject(overloaded());
  }

  return {
    async lookUp(hash, isFresh) {
      const name = hash.toString('base64');
      const isSame = (one: Waiting) => one.name === name;
      const running = isFresh ? undefined : reading.find(isSame);
      if (running) return running.promise;
      const same = waiting.find(isSame);
      if (same) return share(same);
      const one: Waiting = { hash, name, ...Promise.withResolvers<FoundKey | null>() };
      accept(one);
      readSoon();
      return one.promise;
    },
    isIdle: () => !isReading && nextAt <= monotonicMs(),
  };
}

export function isValid(found: FoundKey | null | undefined): found is KeyHolder {
  return found !== null && found !== undefined && !('fault' in found);
}

function overloaded(): AuthError {
  return new AuthError('OVERLOADED', { retryAfterMs: EVERY_MS });
}
