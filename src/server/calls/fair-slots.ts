// Slots for requests that wait: for the rest of their body, for a reader of the response, or without end, as public
// streams do. Without a free slot, the network that holds the most loses its oldest, so that no network can take the
// slots of another.
import { AuthError } from '../../domain/auth-error.ts';
import { networksOf } from '../../domain/networks.ts';
import { RETRY_SOON_MS } from '../../domain/retry-after.ts';
import type { ServerRequest } from '../transport/server-request.ts';

export type SlotHolder = {
  address: string;
  /** The same object for all requests on one connection. */
  connection: object;
};

export type FairSlots = {
  /**
   * @param onEvicted called when another request takes the slot
   * @returns releases the slot; has no effect after an eviction
   */
  acquire(holder: SlotHolder, onEvicted: () => void): () => void;
  inUse(): number;
};

export type FairSlotsOptions = {
  capacity: number;
  /** Applies while more than half of the slots are in use. */
  maxHoldUnderPressureMs: number;
};

type Slot = { since: number; onEvicted: () => void };
/** A network with the narrower networks in it. Each leaf is a connection with its slots. */
type Node = { key: unknown; parent: Node | null; inUse: number; children: Map<unknown, Node>; slots: Set<Slot> };

const SWEEP_EVERY_MS = 250;

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

/** @throws AuthError OVERLOADED when the slot is evicted */
export async function whileWaiting<T>(slots: FairSlots, holder: SlotHolder, work: Promise<T>): Promise<T> {
  const evicted = Promise.withResolvers<never>();
  const release = slots.acquire(holder, () =>
    evicted.reject(new AuthError('OVERLOADED', { retryAfterMs: RETRY_SOON_MS })),
  );
  try {
    return await Promise.race([work, evicted.promise]);
  } finally {
    release();
  }
}

export function holdUntilRead(slots: FairSlots, holder: SlotHolder, request: ServerRequest): void {
  const { response } = request;
  if (response.isClosed) return;
  request.onceClosed(slots.acquire(holder, () => response.destroy()));
}

function createNode(key: unknown, parent: Node | null): Node {
  return { key, parent, inUse: 0, children: new Map(), slots: new Set() };
}

function childOf(parent: Node, key: unknown): Node {
  const child = parent.children.get(key) ?? createNode(key, parent);
  parent.children.set(key, child);
  return child;
}

function addInUse(leaf: Node, slots: 1 | -1): void {
  for (let node: Node | null = leaf; node; node = node.parent) {
    node.inUse += slots;
    if (node.inUse === 0) node.parent?.children.delete(node.key);
  }
}

function largest(nodes: Iterable<Node>): Node {
  let found: Node | null = null;
  for (const node of nodes) if (!found || node.inUse > found.inUse) found = node;
  return found as Node;
}

function* slotsOf(node: Node): Iterable<Slot> {
  yield* node.slots;
  for (const child of node.children.values()) yield* slotsOf(child);
}
