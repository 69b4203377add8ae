// One Redis server, or one Sentinel.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Program as FoundProgram } from '../../src/dev/find-program.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { eventually } from '../support/eventually.ts';
import { type Program, startProgram } from './program.ts';

export type RedisServer = {
  port: number;
  start(): Promise<void>;
  kill(): Promise<void>;
  freeze(): void;
  thaw(): void;
  /** Sends one command as the administrator. */
  command(name: string, ...args: (string | number)[]): Promise<unknown>;
  /** Uses one connection for many commands. */
  use<T>(act: (client: Redis) => Promise<T>): Promise<T>;
};

type Parts = {
  program: FoundProgram;
  /** Null for a Sentinel, which has none. */
  password: string | null;
  folder: string;
  /** Lines of its configuration besides those that every server has. */
  lines: string[];
};

export async function createRedisServer({ program, password, folder, lines }: Parts): Promise<RedisServer> {
  const port = await freePort();
  const file = join(folder, 'redis.conf');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const common = [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, ...lines];
  writeFileSync(file, `${[...common, ...(password === null ? [] : storage(password))].join('\n')}\n`, { mode: 0o600 });
  let running: Program | null = null;

  async function use<T>(act: (client: Redis) => Promise<T>): Promise<T> {
    const patience = { connectTimeout: 1_000, commandTimeout: 10_000, retryStrategy: () => null };
    const credentials = password === null ? {} : { password };
    const client = new Redis({ port, host: '127.0.0.1', ...credentials, lazyConnect: true, ...patience });
    client.on('error', () => {});
    try {
      await client.connect();
      return await act(client);
    } finally {
      client.disconnect();
    }
  }

  return {
    port,
    use,
    command: (name, ...args) => use((client) => client.call(name, ...args)),
    async start() {
      const environment = program.libraryPath ? { LD_LIBRARY_PATH: program.libraryPath } : {};
      const started = startProgram(program.path, [file, ...(password === null ? ['--sentinel'] : [])], { environment });
      running = started;
      await eventually(async () => {
        if (started.hasExited()) throw new Error(`Redis did not start:\n${started.output()}`);
        return use((client) => client.ping()).catch(() => null);
      }, 30_000);
    },
    async kill() {
      await running?.end('SIGKILL');
    },
    freeze: () => running?.signalAll('SIGSTOP'),
    thaw: () => running?.signalAll('SIGCONT'),
  };
}

/** Keeps nothing on disk. */
function storage(password: string): string[] {
  return [
    `requirepass ${password}`,
    `masterauth ${password}`,
    'save ""',
    'appendonly no',
    'repl-diskless-sync-delay 0',
    'maxmemory-policy noeviction',
  ];
}
