import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy. Stands between the service and one of its dependencies, and can swallow, cut and refuse. */
export type Cable = {
  port: number;
  mode: 'open' | 'silent' | 'cut';
  cutAll(): void;
  /** The connections of now carry nothing any more, for good; new ones do. */
  swallowAll(): void;
  /** New connections lead to another port, as behind a name that changes. Open ones stay where they are. */
  redirect(port: number): void;
  close(): Promise<void>;
};

export async function layCable(firstTargetPort: number): Promise<Cable> {
  let targetPort = firstTargetPort;
  const sockets = new Set<Socket>();
  const swallowed = new WeakSet<Socket>();
  const server: Server = createServer((near) => {
    if (cable.mode === 'cut') return void near.destroy();
    const far = connect(targetPort, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => cable.mode === 'open' && !swallowed.has(from) && to.write(chunk));
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
    mode: 'open',
    cutAll: () => {
      for (const socket of sockets) socket.destroy();
    },
    swallowAll: () => {
      for (const socket of sockets) swallowed.add(socket);
    },
    redirect: (port) => {
      targetPort = port;
    },
    close: async () => {
      cable.cutAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return cable;
}

/** The URL of the same service behind a cable. */
export function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}
