// API keys that this process has not seen valid. Owns what they may cost: those of one network are looked up together, in one
// statement a second at the most. A key that was created a moment ago is found. Beyond the keys of one statement each key has the
// same chance, so that a genuine service gets through a flood from its network with a few tries.
import { randomInt } from 'node:crypto';
import { AuthError } from '../domain/auth-error.ts';
import type { KeyHolder } from '../store/service-accounts.ts';

/** By their hash in base64; invalid keys are left out. */
export type ReadKeys = (hashes: Buffer[]) => Promise<Map<string, KeyHolder>>;

/**
 * @param isFresh whether the statement must begin after the call; otherwise one that runs already will do
 * @throws AuthError OVERLOADED while too many calls of the network wait
 */
export type UnknownKeys = (hash: Buffer, network: string, isFresh: boolean) => Promise<KeyHolder | null>;

const EVERY_MS = 1_000;
/** Of one network: the keys of one statement. */
const MAX_WAITING = 256;
/** Of one network: the calls that wait for a key that others wait for, too. */
const MAX_SHARING = 1_000;
/** Networks beyond these share one turn. */
const MAX_NETWORKS = 10_000;
const OTHERS = 'others';

/** @param clock monotonic, in milliseconds */
export function createUnknownKeys(readKeys: ReadKeys, clock: () => number): UnknownKeys {
  const read = oneAtATime(readKeys);
  // In the order of their last use, because a Map keeps the order of insertion.
  const networks = new Map<string, Network>();

  return (hash, name, isFresh) => {
    for (const [idleName, idle] of networks) {
      if (!idle.isIdle()) break;
      networks.delete(idleName);
    }
    const used = networks.has(name) || networks.size < MAX_NETWORKS ? name : OTHERS;
    const network = networks.get(used) ?? openNetwork(read, clock);
    networks.delete(used);
    networks.set(used, network);
    return network.lookUp(hash, isFresh);
  };
}

/** Networks whose turns come while a statement runs share the next one. */
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
  lookUp(hash: Buffer, isFresh: boolean): Promise<KeyHolder | null>;
  /** Whether forgetting it changes nothing. */
  isIdle(): boolean;
};

type Waiting = PromiseWithResolvers<KeyHolder | null> & { hash: Buffer; name: string };

function openNetwork(read: ReadKeys, clock: () => number): Network {
  let waiting: Waiting[] = [];
  let reading: Waiting[] = [];
  /** Since the last statement. */
  let [arrived, sharing] = [0, 0];
  let isReading = false;
  let nextAt = 0;

  async function readAll(): Promise<void> {
    const taken = waiting;
    reading = taken;
    waiting = [];
    [arrived, sharing] = [0, 0];
    const beganAt = clock();
    const holders = await read(taken.map(({ hash }) => hash)).catch((error: unknown) => {
      for (const one of taken) one.reject(error);
      return null;
    });
    for (const one of taken) one.resolve(holders?.get(one.name) ?? null);
    // Valid keys alone do not use up the second.
    nextAt = taken.every(({ name }) => holders?.has(name)) ? 0 : beganAt + EVERY_MS;
    isReading = false;
    reading = [];
    if (waiting.length > 0) readSoon();
  }

  function readSoon(): void {
    if (isReading) return;
    isReading = true;
    setTimeout(() => void readAll(), Math.max(0, nextAt - clock()));
  }

  /** @throws AuthError OVERLOADED */
  function share(one: Waiting): Waiting['promise'] {
    sharing += 1;
    if (sharing > MAX_SHARING) throw overloaded();
    return one.promise;
  }

  /** Each key that arrives within the second has the same chance: a flood does not take every place by being first. */
  function accept(one: Waiting): void {
    arrived += 1;
    const place = arrived <= MAX_WAITING ? waiting.length : randomInt(arrived);
    const rejected = place < MAX_WAITING ? waiting[place] : one;
    if (place < MAX_WAITING) waiting[place] = one;
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
      const one: Waiting = { hash, name, ...Promise.withResolvers<KeyHolder | null>() };
      accept(one);
      readSoon();
      return one.promise;
    },
    isIdle: () => !isReading && nextAt <= clock(),
  };
}

function overloaded(): AuthError {
  return new AuthError('OVERLOADED', { retryAfterMs: EVERY_MS });
}
