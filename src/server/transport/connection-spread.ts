// Decides which worker of `serve --workers` receives a connection: the one that has the fewest open. It owns the counts
// of one port, and must not depend on sockets or processes.
import { surplusOf } from './surplus.ts';

export type Delivery<W, C> = {
  /** The worker confirms the connection before it reads from it. */
  send(worker: W, connection: C): void;
  /** Requests a reply, which arrives after the confirmations of everything that was sent before. */
  ping(worker: W): void;
  /** A worker has confirmed the connection, or no worker is left for it. */
  release(connection: C): void;
  /** The worker has asked to leave, and receives no further ones. */
  left(worker: W): void;
};

export type ConnectionSpread<W, C> = {
  join(worker: W): void;
  /** The worker receives no further connections, except those that wait already when no other worker stays. */
  leave(worker: W): void;
  /** The process has ended. Another worker receives the connection that was on its way. */
  remove(worker: W): void;
  give(connection: C): void;
  confirmed(worker: W): void;
  /** A worker has replied to a ping. */
  replied(worker: W): void;
  closed(worker: W, count: number): void;
  /** The number of connections that each worker should end now. Their clients then open them at another worker. */
  retirements(): Map<W, number>;
};

type Member<C> = {
  open: number;
  /** Grows with each connection: of workers with equally many, the one whose turn is longest ago is next. */
  turn: number;
  /** Sent and not confirmed. At most one, so that a worker that hangs holds one only. */
  onItsWay: { connection: C; sweeps: number } | null;
  isLeaving: boolean;
};

const SWEEP_MS = 250;
/** A worker that has not confirmed a connection after so many sweeps receives no others until it does. */
const LATE_SWEEPS = 2;
/** A worker ends at most this part of its connections at once, and none for a surplus that is smaller. */
const RETIRED_PART = 0.1;

export function createConnectionSpread<W, C>(delivery: Delivery<W, C>): ConnectionSpread<W, C> {
  const members = new Map<W, Member<C>>();
  const waiting: C[] = [];
  let turns = 0;
  let isSweeping = false;
  let lastSurplus = new Map<W, number>();

  function next(): [W, Member<C>] | null {
    let best: [W, Member<C>] | null = null;
    for (const entry of members)
      if (!isLate(entry[1].onItsWay) && (best === null || isBefore(entry[1], best[1]))) best = entry;
    return best;
  }

  function deliver(): void {
    while (waiting.length > 0) {
      const found = next();
      // To give it to another worker would make the numbers uneven.
      if (found === null || found[1].onItsWay) break;
      const [worker, member] = found;
      const connection = waiting.shift() as C;
      member.open += 1;
      turns += 1;
      member.turn = turns;
      member.onItsWay = { connection, sweeps: 0 };
      delivery.send(worker, connection);
      sweepLater();
    }
    letLeave();
    if (members.size === 0) for (const connection of waiting.splice(0)) delivery.release(connection);
  }

  function letLeave(): void {
    for (const [worker, { isLeaving, onItsWay }] of members) {
      if (!isLeaving || onItsWay) continue;
      members.delete(worker);
      delivery.left(worker);
    }
  }

  function sweepLater(): void {
    if (isSweeping) return;
    isSweeping = true;
    setTimeout(sweep, SWEEP_MS);
  }

  function sweep(): void {
    isSweeping = false;
    for (const [worker, { onItsWay }] of members) {
      if (!onItsWay || isLate(onItsWay)) continue;
      onItsWay.sweeps += 1;
      if (isLate(onItsWay)) delivery.ping(worker);
      else sweepLater();
    }
    deliver();
  }

  return {
    join(worker) {
      members.set(worker, { open: 0, turn: 0, onItsWay: null, isLeaving: false });
      deliver();
    },
    leave(worker) {
      const member = members.get(worker);
      if (member) member.isLeaving = true;
      deliver();
    },
    remove(worker) {
      const onItsWay = members.get(worker)?.onItsWay;
      members.delete(worker);
      if (onItsWay) waiting.unshift(onItsWay.connection);
      deliver();
    },
    give(connection) {
      waiting.push(connection);
      deliver();
    },
    confirmed(worker) {
      const member = members.get(worker);
      if (!member?.onItsWay) return;
      delivery.release(member.onItsWay.connection);
      member.onItsWay = null;
      deliver();
    },
    replied(worker) {
      const member = members.get(worker);
      // It had no free file descriptor for the connection.
      if (!member?.onItsWay || !isLate(member.onItsWay)) return;
      waiting.unshift(member.onItsWay.connection);
      member.onItsWay = null;
      member.open -= 1;
      deliver();
    },
    closed(worker, count) {
      const member = members.get(worker);
      if (member) member.open -= count;
    },
    retirements() {
      const available = [...members].filter(([, { isLeaving, onItsWay }]) => !isLeaving && !isLate(onItsWay));
      const surplus = surplusOf(available.map(([, { open }]) => open));
      const due = new Map<W, number>();
      const seen = new Map<W, number>();
      for (const [n, [worker, { open }]] of available.entries()) {
        const above = surplus[n] as number;
        seen.set(worker, above);
        // Connections open and close all the time: only a surplus that lasts is one.
        const lasting = Math.min(above, lastSurplus.get(worker) ?? 0);
        if (lasting > open * RETIRED_PART) due.set(worker, Math.min(lasting, Math.ceil(open * RETIRED_PART)));
      }
      lastSurplus = seen;
      return due;
    },
  };
}

function isLate(onItsWay: Member<unknown>['onItsWay']): boolean {
  return onItsWay !== null && onItsWay.sweeps >= LATE_SWEEPS;
}

function isBefore(a: Member<unknown>, b: Member<unknown>): boolean {
  if (a.isLeaving !== b.isLeaving) return b.isLeaving;
  if (a.open !== b.open) return a.open < b.open;
  if (!a.onItsWay !== !b.onItsWay) return !a.onItsWay;
  return a.turn < b.turn;
}
