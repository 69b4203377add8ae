import cluster from 'node:cluster';
import { lookup } from 'node:dns/promises';
import type http from 'node:http';
import { type AddressInfo, isIP, Server } from 'node:net';
import { listenShared } from './shared-port.ts';

export type ListenAddress = {
  /** A name stands for all of its addresses: some clients try only the first address of `localhost`. */
  host: string;
  /** 0 for any free port. */
  port: number;
  /** Names the port that the processes of `serve --workers` share. Without a name each process has its port alone. */
  shared?: 'PORT' | 'LISTEN_ADMIN' | 'HEALTH_PORT';
};

export type Listening<S extends Server = Server> = {
  port: number;
  servers: S[];
  /** Accepts no further connections. Resolves when all of them have closed. */
  close(): Promise<void>;
};

/** RFC 6761 section 6.3. Hosts files often have only one of them, and resolvers return both. */
const LOOPBACK = ['127.0.0.1', '::1'];

/**
 * Listens on every address of the host, with the same port.
 * @param createServer returns the server for the next address, after `count` servers that listen already
 * @param retire lets this number of the open connections end without a lost call: those that end already count. Clients
 * then open them at another process of `serve --workers`, which has fewer
 * @throws the system's error, when any address cannot be used
 */
export async function listenOnAll<S extends Server>(
  { host, port, shared }: ListenAddress,
  createServer: (count: number) => S,
  retire: (count: number) => void = () => {},
): Promise<Listening<S>> {
  if (shared !== undefined && cluster.isWorker) {
    const server = createServer(0);
    return { ...(await listenShared(server, { name: shared, host, port, retire })), servers: [server] };
  }
  const servers: S[] = [];
  let chosen = port;
  let missing: unknown = null;
  try {
    for (const address of await addressesOf(host)) {
      const server = createServer(servers.length);
      try {
        await listen(server, { host: address, port: chosen });
      } catch (error) {
        if (isIP(host) !== 0 || !isMissingAddress(error)) throw error;
        missing = error;
        continue;
      }
      servers.push(server);
      chosen = (server.address() as AddressInfo).port;
    }
    if (servers.length === 0) throw missing;
    return { port: chosen, servers, close: async () => void (await Promise.all(servers.map(close))) };
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
}

/** Ends the connections too. */
export function closeAtOnce(listening: Listening<http.Server>): void {
  void listening.close();
  for (const server of listening.servers) {
    server.close();
    server.closeAllConnections();
  }
}

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  if (host.toLowerCase() === 'localhost') return LOOPBACK;
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))];
}

/** A machine without IPv6 can still have `::1 localhost` in its hosts file. */
function isMissingAddress(error: unknown): boolean {
  return ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(String((error as NodeJS.ErrnoException).code));
}

function listen(server: Server, address: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Without `exclusive`, node:cluster would share the port.
    server.listen({ ...address, exclusive: true }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

/** The close of node:http would close idle connections at once, and with them requests that the client has just sent. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => Server.prototype.close.call(server, () => resolve()));
}
