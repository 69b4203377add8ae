import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy between the service and one of its dependencies. It can swallow, cut, refuse, delay and redirect. */
export type Cable = {
  port: number;
  /** The target of new connections; existing connections keep theirs. */
  target: number;
  /** A connection that loses a piece while the cable is silent carries nothing afterwards: TCP never skips a byte. */
  mode: 'open' | 'silent' | 'cut';
  /** The delay of each piece, in milliseconds; null for no delay. Pieces stay in order. */
  latencyMs: (() => number) | null;
  /** The rate of one direction of one connection; Infinity for no bound. */
  bytesPerSecond: number;
  /** Whether a connection ends at the first byte of its response, which is then lost. */
  losesAnswer: () => boolean;
  cutAll(): void;
  /** Cuts the oldest connection. False when there is none. */
  cutOldest(): boolean;
  /** The service receives the end of each connection, and its own data still arrives. */
  halfCloseAll(): void;
  /** Existing connections carry nothing from now on; new ones do. */
  swallowAll(): void;
  close(): Promise<void>;
};

export async function layCable(targetPort: number): Promise<Cable> {
  const sockets = new Set<Socket>();
  /** The sides that face the service, oldest first. */
  const nearSides = new Set<Socket>();
  const swallowed = new WeakSet<Socket>();
  const server: Server = createServer((near) => {
    if (cable.mode === 'cut') return void near.destroy();
    const far = connect(cable.target, '127.0.0.1');
    nearSides.add(near);
    near.on('close', () => nearSides.delete(near));
    far.once('data', () => cable.losesAnswer() && near.destroy());
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      const send = inOrder(cable, (chunk) => to.destroyed || to.write(chunk));
      from.on('data', (chunk) => {
        if (cable.mode !== 'open') swallowed.add(near).add(far);
        if (!swallowed.has(from)) send(chunk);
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cable: Cable = {
    port: (server.address() as AddressInfo).port,
    target: targetPort,
    mode: 'open',
    latencyMs: null,
    bytesPerSecond: Number.POSITIVE_INFINITY,
    losesAnswer: () => false,
    cutAll: () => {
      for (const socket of sockets) socket.destroy();
    },
    cutOldest: () => {
      const [oldest] = nearSides;
      return oldest?.destroy() !== undefined;
    },
    halfCloseAll: () => {
      for (const near of nearSides) near.end();
    },
    swallowAll: () => {
      for (const socket of sockets) swallowed.add(socket);
    },
    close: async () => {
      cable.cutAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return cable;
}

/** Each piece arrives after the one before it, with the cable's latency and at the cable's rate. */
function inOrder(cable: Pick<Cable, 'latencyMs' | 'bytesPerSecond'>, write: (chunk: Buffer) => void) {
  let lastAt = 0;
  return (chunk: Buffer) => {
    const now = performance.now();
    const carriedIn = (chunk.length / cable.bytesPerSecond) * 1000;
    const at = Math.max(now + (cable.latencyMs?.() ?? 0), lastAt) + carriedIn;
    if (at <= now) return write(chunk);
    lastAt = at;
    setTimeout(() => write(chunk), at - now);
  };
}

/** The URL of the same service behind a cable. */
export function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}
