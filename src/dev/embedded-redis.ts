// Runs a private Redis or Valkey of the system, with a port and a password of its own. It stores nothing on disk.
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { OperatorError } from '../process/operator-error.ts';
import { fromDebian, onPath, type Program } from './find-program.ts';
import { freePort } from './free-port.ts';
import { startOwned, waitUntilReady } from './owned-process.ts';

export type EmbeddedRedis = { url: string; stop(): Promise<void> };

const NAMES = ['redis-server', 'valkey-server'];
const NOT_FOUND =
  'Redis is required and not on PATH. Install redis-server or valkey-server with the package manager of this system ' +
  '(Debian: apt-get install redis-server; macOS: brew install redis), or set REDIS_URL to a running server.';

export async function findRedis(searchPath: string, cacheFolder: string): Promise<Program> {
  const found = onPath(NAMES, searchPath);
  if (found) return found;
  const downloaded = await fromDebian('redis-server', 'usr/bin/redis-server', cacheFolder).catch((cause: unknown) => {
    throw new OperatorError(NOT_FOUND, { cause });
  });
  if (!downloaded) throw new OperatorError(NOT_FOUND);
  return downloaded;
}

export async function startEmbeddedRedis(program: Program, databases = 16): Promise<EmbeddedRedis> {
  const port = await freePort();
  const password = randomBytes(24).toString('base64url');
  // On standard input, so that no process list shows the password.
  const configuration = [
    `port ${port}`,
    'bind 127.0.0.1',
    `requirepass ${password}`,
    'save ""',
    'appendonly no',
    'maxmemory-policy noeviction',
    `databases ${databases}`,
    'daemonize no',
  ];
  const server = startOwned(program.path, ['-'], {
    stopSignal: 'SIGTERM',
    libraryPath: program.libraryPath,
    input: `${configuration.join('\n')}\n`,
  });
  const url = `redis://:${password}@127.0.0.1:${port}`;
  await waitUntilReady(server, 'Redis', () => ping(url));
  return { url, stop: server.stop };
}

async function ping(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 1_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.ping();
  } finally {
    client.disconnect();
  }
}
