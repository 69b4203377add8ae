// Slots for requests that wait: for the rest of their body, or for ever, as a stranger's stream does. Each request gets one. When
// none is left, the network that holds most of them loses its oldest, so that no network takes the slots of another.
import { AuthError } from '../../domain/auth-error.ts';
import { networksOf } from '../../domain/networks.ts';
import type { NodeResponse } from '../transport/handler.ts';

export type Holder = {
  /** IP address of the client. */
  address: string;
  /** The same object for everything on one connection. */
  connection: object;
};

export type FairSlots = {
  /**
   * @param onEvicted called when the slot is taken away
   * @returns gives the slot back; does nothing once it is taken away
   */
  acquire(holder: Holder, onEvicted: () => void): () => void;
  inUse(): number;
};

export type FairSlotsOptions = {
  capacity: number;
  /** How long a slot may be held while more than half of them are in use, in milliseconds. */
  maxHoldUnderPressureMs: number;
};

type Slot = { since: number; onEvicted: () => void };
/** A network, with the narrower networks in it; at the end of each branch a connection, with its slots. */
type Node = { key: unknown; parent: Node | null; inUse: number; children: Map<unknown, Node>; slots: Set<Slot> };

const SWEEP_EVERY_MS = 250;
export const RETRY_AFTER_MS = 1_000;

export function createFairSlots({ capacity, maxHoldUnderPressureMs }: FairSlotsOptions): FairSlots {
  const root = createNode('', null);
  let sweeping: NodeJS.Timeout | undefined;

  function evictOldestOfLargest(): void {
    let node = root;
    while (node.children.size > 0) node = largest(node.children.values());
    const [oldest] = node.slots;
    oldest?.onEvicted();
  }

  function sweep(): void {
    if (root.inUse <= capacity / 2) {
      clearInterval(sweeping);
      sweeping = undefined;
      return;
    }
    const before = performance.now() - maxHoldUnderPressureMs;
    for (const slot of [...slotsOf(root)]) if (slot.since < before) slot.onEvicted();
  }

  return {
    acquire({ address, connection }, onEvicted) {
      const leaf = [...networksOf(address).reverse(), connection].reduce(childOf, root);
      let isHeld = true;
      const release = () => {
        if (!isHeld) return;
        isHeld = false;
        leaf.slots.delete(slot);
        addInUse(leaf, -1);
      };
      const evict = () => {
        release();
        onEvicted();
      };
      const slot: Slot = { since: performance.now(), onEvicted: evict };
      leaf.slots.add(slot);
      addInUse(leaf, 1);
      if (root.inUse > capacity) evictOldestOfLargest();
      if (root.inUse > capacity / 2) sweeping ??= setInterval(sweep, SWEEP_EVERY_MS).unref();
      return release;
    },
    inUse: () => root.inUse,
  };
}

/**
 * The result of some work, for which the request holds a slot as long as it takes.
 * @throws AuthError OVERLOADED when the slot is taken away
 */
export async function whileWaiting<T>(slots: FairSlots, holder: Holder, work: Promise<T>): Promise<T> {
  const evicted = Promise.withResolvers<never>();
  const error = new AuthError('OVERLOADED', { retryAfterMs: RETRY_AFTER_MS });
  const release = slots.acquire(holder, () => evicted.reject(error));
  try {
    return await Promise.race([work, evicted.promise]);
  } finally {
    release();
  }
}

/** Holds a slot until the answer is read. The answer is given up when the slot is taken away. */
export function holdUntilRead(slots: FairSlots, holder: Holder, response: NodeResponse): void {
  if (isClosed(response)) return;
  response.once(
    'close',
    slots.acquire(holder, () => response.destroy()),
  );
}

function isClosed(response: NodeResponse): boolean {
  return 'stream' in response ? !response.stream || response.stream.destroyed : response.destroyed;
}

function createNode(key: unknown, parent: Node | null): Node {
  return { key, parent, inUse: 0, children: new Map(), slots: new Set() };
}

function childOf(parent: Node, key: unknown): Node {
  const child = parent.children.get(key) ?? createNode(key, parent);
  parent.children.set(key, child);
  return child;
}

/** Of a connection and all networks that it is in; empty ones are forgotten. */
function addInUse(leaf: Node, slots: 1 | -1): void {
  for (let node: Node | null = leaf; node; node = node.parent) {
    node.inUse += slots;
    if (node.inUse === 0) node.parent?.children.delete(node.key);
  }
}

/** The first of several that are equally large. */
function largest(nodes: Iterable<Node>): Node {
  let found: Node | null = null;
  for (const node of nodes) if (!found || node.inUse > found.inUse) found = node;
  return found as Node;
}

function* slotsOf(node: Node): Iterable<Slot> {
  yield* node.slots;
  for (const child of node.children.values()) yield* slotsOf(child);
}
