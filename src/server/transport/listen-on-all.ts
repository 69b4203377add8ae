import { lookup } from 'node:dns/promises';
import type http from 'node:http';
import { type AddressInfo, isIP, type Server } from 'node:net';

export type ListenAddress = {
  /** A name stands for all of its addresses: some clients try only the first address of `localhost`. */
  host: string;
  /** 0 for any free port. */
  port: number;
  /** Whether a worker process has the port alone, and does not share it with the others. */
  exclusive?: boolean;
};

/** RFC 6761 section 6.3. Hosts files often have only one of them, and resolvers return both. */
const LOOPBACK = ['127.0.0.1', '::1'];

/**
 * Listens on every address of the host, with the same port.
 * @param createServer returns the server for the next address, after `count` servers that listen already
 * @throws the system's error, when any address cannot be used
 */
export async function listenOnAll<S extends Server>(
  { host, port, exclusive = false }: ListenAddress,
  createServer: (count: number) => S,
): Promise<{ port: number; servers: S[] }> {
  const servers: S[] = [];
  let chosen = port;
  let missing: unknown = null;
  try {
    for (const address of await addressesOf(host)) {
      const server = createServer(servers.length);
      try {
        await listen(server, { host: address, port: chosen, exclusive });
      } catch (error) {
        if (isIP(host) !== 0 || !isMissingAddress(error)) throw error;
        missing = error;
        continue;
      }
      servers.push(server);
      chosen = (server.address() as AddressInfo).port;
    }
    if (servers.length === 0) throw missing;
    return { port: chosen, servers };
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
}

/** Ends their connections too. */
export function closeAtOnce(servers: http.Server[]): void {
  for (const server of servers) {
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

function listen(server: Server, options: { host: string; port: number; exclusive: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}
